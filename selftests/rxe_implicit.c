// SPDX-License-Identifier: GPL-2.0
/*
 * Implicit ODP: one region that is the whole address space.
 *
 * rxe_implicit use STEPS      mappings all over the address space, both sides of
 *                             transfers by the same key, compared with shadows
 * rxe_implicit unmapped       what is not there, or may not be written
 * rxe_implicit churn COUNT    regions are mapped, touched by RDMA and unmapped:
 *                             what the kernel allocated for them is given back
 *                             (COUNT is a multiple of 16)
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/qp.h"

#define MAPPINGS	48
#define CHUNK		(64UL << 10)
#define LOWEST		(16UL << 20)
#define HIGHEST		(0x7fff00000000UL - (16UL << 20))
#define WINDOW		(2UL << 20)
#define HELD		1024	/* regions that are there at once */
#define BATCH		16
#define GRACE_MS	10000
#define SEEN		(2UL << 20)	/* that they have to take at least */

static const struct qp_options options = { .type = IBV_QPT_RC, .sges = 1 };

struct mapping {
	unsigned char *addr, *shadow;
	size_t len;
};

static struct odp o, pair;
static struct ibv_mr *mr;
static unsigned short rnd[3];
static unsigned long wrong;

/* Somewhere in the address space. */
static unsigned char *map_anywhere(size_t len)
{
	for (;;) {
		uintptr_t hint = LOWEST + ((uint64_t)nrand48(rnd) << 16 ^
					   nrand48(rnd)) % (HIGHEST - LOWEST);
		void *addr = mmap((void *)(hint & ~(ODP_PAGE - 1)), len,
				  PROT_READ | PROT_WRITE, MAP_PRIVATE |
				  MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

		if (addr != MAP_FAILED)
			return addr;
		if (errno != EEXIST)
			odp_die(errno, "mmap");
	}
}

static struct odp_side at(const void *addr)
{
	return (struct odp_side){ (uintptr_t)addr, mr->lkey };
}

static void complain(const char *what, const void *addr, size_t len,
		     const char *why)
{
	if (wrong++ < 10)
		printf("%s, %p, %zu bytes: %s\n", what, addr, len, why);
}

/* --- use --- */

static void remap(struct mapping *m)
{
	if (m->addr) {
		munmap(m->addr, m->len);
		munmap(m->shadow, m->len);
	}
	/* Some have more than a window, most lie in one */
	m->len = (1 + odp_random(rnd, odp_random(rnd, 8) ? 64 : 768)) * ODP_PAGE;
	m->addr = map_anywhere(m->len);
	m->shadow = odp_map(m->len);
}

static enum ibv_wc_status send(const unsigned char *from, unsigned char *to,
			       size_t len)
{
	struct ibv_sge sge[] = {
		{ .addr = (uintptr_t)to, .length = len, .lkey = mr->lkey },
		{ .addr = (uintptr_t)from, .length = len, .lkey = mr->lkey },
	};
	struct ibv_recv_wr receive = { .sg_list = &sge[0], .num_sge = 1 }, *bad;
	struct ibv_send_wr wr = {
		.sg_list = &sge[1],
		.num_sge = 1,
		.opcode = IBV_WR_SEND,
		.send_flags = IBV_SEND_SIGNALED,
	};
	enum ibv_wc_status status;
	int err = ibv_post_recv(pair.peer, &receive, &bad);

	if (err)
		odp_die(err, "ibv_post_recv");
	odp_post(&pair, &wr);
	status = odp_wait_wc(&pair).status;
	return status ?: odp_wait_wc(&pair).status;
}

/* One word of each: FETCH_ADD, or ATOMIC_WRITE. */
static enum ibv_wc_status atomic(struct mapping *from, size_t a,
				 struct mapping *to, size_t b)
{
	uint64_t old, value = nrand48(rnd), sum;
	enum ibv_wc_status status;

	b &= ~7UL;
	memcpy(&old, to->shadow + b, sizeof(old));
	sum = old + value;
	if (value & 1) {
		memcpy(to->shadow + b, &value, sizeof(value));
		return qp_atomic_write(&pair, at(to->addr + b), value);
	}
	status = qp_atomic(&pair, IBV_WR_ATOMIC_FETCH_AND_ADD, at(from->addr + a),
			   at(to->addr + b), 0, value);
	memcpy(to->shadow + b, &sum, sizeof(sum));
	memcpy(from->shadow + a, &old, sizeof(old));
	return status;
}

static void step(struct mapping *from, struct mapping *to)
{
	static const char * const names[] = { "WRITE", "READ", "SEND", "atomic" };
	size_t most = from->len < to->len ? from->len : to->len;
	unsigned int op = odp_random(rnd, 4);
	size_t len = op == 3 ? 8 : 1 + odp_random(rnd, most < CHUNK ? most : CHUNK);
	size_t a = odp_random(rnd, from->len - len + 1);
	size_t b = odp_random(rnd, to->len - len + 1);
	enum ibv_wc_status status;

	if (odp_random(rnd, 3) && op != 3) {
		for (size_t i = 0; i < len; i++)
			from->shadow[a + i] = i * 7 + (i >> 8) + to->len + a;
		memcpy(from->addr + a, from->shadow + a, len);
	}
	if (op == 3) {
		status = atomic(from, a, to, b);
	} else {
		memcpy(to->shadow + b, from->shadow + a, len);
		if (op == 2)
			status = send(from->addr + a, to->addr + b, len);
		else if (op == 1)
			status = odp_rdma(&pair, IBV_WR_RDMA_READ,
					  at(to->addr + b), at(from->addr + a),
					  len);
		else
			status = odp_rdma(&pair, IBV_WR_RDMA_WRITE,
					  at(from->addr + a), at(to->addr + b),
					  len);
	}
	if (status) {
		complain(names[op], to->addr + b, len, ibv_wc_status_str(status));
		qp_connect(&pair);
	}
	if (memcmp(to->addr, to->shadow, to->len)) {
		complain(names[op], to->addr + b, len, "wrong bytes");
		memcpy(to->shadow, to->addr, to->len);
	}
}

static void use(unsigned long count)
{
	static struct mapping mapping[MAPPINGS];

	for (int i = 0; i < MAPPINGS; i++)
		remap(&mapping[i]);
	for (unsigned long i = 0; i < count; i++) {
		size_t from = odp_random(rnd, MAPPINGS);
		size_t to = (from + 1 + odp_random(rnd, MAPPINGS - 1)) % MAPPINGS;

		if (!odp_random(rnd, 16))
			remap(&mapping[odp_random(rnd, MAPPINGS)]);
		step(&mapping[from], &mapping[to]);
	}
	for (int i = 0; i < MAPPINGS; i++)
		if (memcmp(mapping[i].addr, mapping[i].shadow, mapping[i].len))
			complain("at the end", mapping[i].addr, mapping[i].len,
				 "wrong bytes");
	printf("%lu wrong of %lu\n", wrong, count);
}

/* --- unmapped --- */

/* Both directions, both sides; a transfer that is allowed works afterwards. */
static void try_address(const char *name, unsigned char *addr, bool readable)
{
	static unsigned char good[128];
	const size_t len = sizeof(good) / 2;
	const struct {
		const char *name;
		enum ibv_wr_opcode op;
		struct odp_side local, remote;
		bool allowed;
		enum ibv_wc_status status;
	} tries[] = {
		{ "WRITE to it", IBV_WR_RDMA_WRITE, at(good), at(addr), false,
		  IBV_WC_REM_ACCESS_ERR },
		{ "READ of it", IBV_WR_RDMA_READ, at(good), at(addr), readable,
		  IBV_WC_REM_ACCESS_ERR },
		{ "WRITE from it", IBV_WR_RDMA_WRITE, at(addr), at(good), readable,
		  IBV_WC_GENERAL_ERR },
		{ "READ into it", IBV_WR_RDMA_READ, at(addr), at(good), false,
		  IBV_WC_GENERAL_ERR },
	};

	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		enum ibv_wc_status status = odp_rdma(&pair, tries[i].op,
						     tries[i].local,
						     tries[i].remote, len);

		if (status)
			qp_connect(&pair);
		printf("%s: %s: %s\n", name, tries[i].name,
		       ibv_wc_status_str(status));
		/* How rxe calls an error of the local side is not ours */
		if (!status != tries[i].allowed ||
		    (status && tries[i].status == IBV_WC_REM_ACCESS_ERR &&
		     status != IBV_WC_REM_ACCESS_ERR))
			complain(name, addr, len, "that is wrong");
		if (odp_rdma(&pair, IBV_WR_RDMA_WRITE, at(good), at(good + len), len))
			odp_die(0, "a transfer failed that is allowed");
	}
}

static void unmapped(void)
{
	unsigned char *gone = map_anywhere(4 * ODP_PAGE);
	unsigned char *read_only = map_anywhere(ODP_PAGE);
	unsigned char *none = map_anywhere(ODP_PAGE);

	memset(gone, 1, 4 * ODP_PAGE);
	if (odp_rdma(&pair, IBV_WR_RDMA_WRITE, at(gone), at(gone + 2 * ODP_PAGE), 64))
		odp_die(0, "a transfer failed that is allowed");
	munmap(gone, 4 * ODP_PAGE);
	memset(read_only, 1, ODP_PAGE);
	mprotect(read_only, ODP_PAGE, PROT_READ);
	mprotect(none, ODP_PAGE, PROT_NONE);
	try_address("never mapped", gone + WINDOW * 3, false);
	try_address("not mapped any more", gone, false);
	try_address("PROT_NONE", none, false);
	try_address("read-only", read_only, true);
	try_address("the program's text", (unsigned char *)(uintptr_t)unmapped, true);
	try_address("0", (unsigned char *)0, false);
	try_address("the last page of user space", (unsigned char *)0x7fffffffe000UL,
		    false);
	try_address("a hole that no address can be in",
		    (unsigned char *)0x800000000000UL, false);
	try_address("kernel memory", (unsigned char *)0xffff888000001000UL, false);
	try_address("the end", (unsigned char *)-128L, false);
}

/* --- churn --- */

/* What the kernel has allocated, but for page tables, which are the mappings'. */
static size_t kernel_memory(void)
{
	FILE *file = fopen("/proc/meminfo", "r");
	char name[64], line[256];
	size_t sum = 0, kib;

	if (!file)
		odp_die(errno, "/proc/meminfo");
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "%63s %zu", name, &kib) == 2 &&
		    (!strcmp(name, "SUnreclaim:") || !strcmp(name, "Percpu:") ||
		     !strcmp(name, "VmallocUsed:")))
			sum += kib << 10;
	fclose(file);
	return sum;
}

/* Maps regions and has each touched by RDMA. */
static void touch(const unsigned char *source, unsigned char **addr, size_t count)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)source, .length = ODP_PAGE, .lkey = mr->lkey,
	};
	struct ibv_send_wr wr = {
		.sg_list = &sge, .num_sge = 1, .opcode = IBV_WR_RDMA_WRITE,
		.send_flags = IBV_SEND_SIGNALED, .wr.rdma.rkey = mr->rkey,
	};
	enum ibv_wc_status status;

	for (size_t i = 0; i < count; i++) {
		addr[i] = map_anywhere(2 * ODP_PAGE);
		wr.wr.rdma.remote_addr = (uintptr_t)addr[i] + 100;
		odp_post(&pair, &wr);
	}
	for (size_t i = 0; i < count; i++) {
		status = odp_wait_wc(&pair).status;
		if (status)
			odp_die(0, "RDMA WRITE: %s", ibv_wc_status_str(status));
	}
	for (size_t i = 0; i < count; i++)
		if (memcmp(addr[i] + 100, source, ODP_PAGE))
			complain("churn", addr[i], ODP_PAGE, "wrong bytes");
}

static void unmap(unsigned char **addr, size_t count)
{
	for (size_t i = 0; i < count; i++)
		munmap(addr[i], 2 * ODP_PAGE);
}

static void churn_some(const unsigned char *source, unsigned long count)
{
	unsigned char *addr[BATCH];

	for (unsigned long some; count; count -= some) {
		some = count < BATCH ? count : BATCH;
		touch(source, addr, some);
		unmap(addr, some);
	}
}

/*
 * Windows are reclaimed a moment after they have become empty, and RCU may keep their
 * memory for five seconds.
 */
static size_t settled(size_t goal)
{
	size_t now = kernel_memory();

	for (int ms = 0; ms < GRACE_MS && now > goal; ms += 100) {
		usleep(100000);
		now = kernel_memory();
	}
	return now;
}

static void churn(unsigned long count)
{
	unsigned char *source = odp_map(ODP_PAGE);
	static unsigned char *held[HELD];
	size_t before, most, after, limit;

	odp_stamp(source, ODP_PAGE, 1, 1);
	/* What the first ones alone bring with them */
	churn_some(source, HELD);
	usleep(GRACE_MS * 1000);
	before = kernel_memory();
	for (int i = 0; i < HELD; i += BATCH)
		touch(source, held + i, BATCH);
	most = kernel_memory();
	/* If holding them cannot be seen, nor can a leak */
	if (most < before + SEEN)
		odp_die(0, "kernel memory: %zu KiB before, %zu with %d regions held",
			before >> 10, most >> 10, HELD);
	unmap(held, HELD);
	churn_some(source, count);
	limit = before + (most - before) / 2;
	after = settled(limit);
	printf("kernel memory: %zu KiB before, %zu with %d regions held, %zu after %lu\n",
	       before >> 10, most >> 10, HELD, after >> 10, count);
	if (after > limit)
		complain("churn", source, after - before, "was not given back");
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	unsigned long count = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;

	odp_seed(rnd);
	odp_open(&o);
	qp_open(&pair, &o, options);
	mr = ibv_reg_mr(o.pd, NULL, SIZE_MAX, ODP_RW | IBV_ACCESS_REMOTE_ATOMIC |
			IBV_ACCESS_ON_DEMAND);
	if (!mr) {
		printf("ibv_reg_mr: %s\n", strerror(errno));
		return ODP_DEFECT;
	}
	if (!strcmp(what, "use") && count)
		use(count);
	else if (!strcmp(what, "unmapped"))
		unmapped();
	else if (!strcmp(what, "churn") && count)
		churn(count);
	else
		odp_die(0, "usage: rxe_implicit use STEPS | unmapped | churn COUNT");
	ibv_dereg_mr(mr);
	qp_close(&pair);
	odp_close(&o);
	return wrong ? ODP_DEFECT : ODP_OK;
}
