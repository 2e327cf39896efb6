// SPDX-License-Identifier: GPL-2.0
/*
 * ibv_advise_mr: every advice, at once and in the background, with the errno that
 * mlx5 gives, and with the effect it has to have. A line for each case.
 *
 * rxe_advise_mr [stock]
 *   stock    leave out what reads beyond an object of stock rxe's
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/cases.h"
#include "lib/odp.h"

#define PAGES	16
#define LEN	(PAGES * ODP_PAGE)
#define GIB	(1024UL * 1024 * 1024)
#define BOUND_S	5	/* that a deregistration may take */
#define SIGNALS	100	/* each later than the one before by: */
#define STEP_US	10

static struct odp o;
static struct ibv_mr *bounce;

static const struct {
	const char *name;
	enum ibv_advise_mr_advice advice;
	uint32_t flags;
} ways[] = {
	{ "PREFETCH, at once", IBV_ADVISE_MR_ADVICE_PREFETCH, IBV_ADVISE_MR_FLAG_FLUSH },
	{ "PREFETCH", IBV_ADVISE_MR_ADVICE_PREFETCH, 0 },
	{ "WRITE, at once", IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, IBV_ADVISE_MR_FLAG_FLUSH },
	{ "WRITE", IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, 0 },
	{ "NO_FAULT, at once", IBV_ADVISE_MR_ADVICE_PREFETCH_NO_FAULT, IBV_ADVISE_MR_FLAG_FLUSH },
	{ "NO_FAULT", IBV_ADVISE_MR_ADVICE_PREFETCH_NO_FAULT, 0 },
};

#define WAYS	(sizeof(ways) / sizeof(ways[0]))

static bool at_once(size_t way)
{
	return ways[way].flags;
}

static bool writes(size_t way)
{
	return ways[way].advice == IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE;
}

static bool faults(size_t way)
{
	return ways[way].advice != IBV_ADVISE_MR_ADVICE_PREFETCH_NO_FAULT;
}

static void advise(const char *what, size_t way, struct ibv_pd *pd,
		   struct ibv_sge *sges, size_t count, const int *want)
{
	char text[120];

	snprintf(text, sizeof(text), "%s, %s", what, ways[way].name);
	result_errno(text, ibv_advise_mr(pd, ways[way].advice, ways[way].flags,
					 sges, count), want);
}

static void advise_one(const char *what, size_t way, struct ibv_pd *pd,
		       uint64_t addr, uint32_t len, uint32_t lkey,
		       const int *want)
{
	struct ibv_sge sge = { .addr = addr, .length = len, .lkey = lkey };

	advise(what, way, pd, &sge, 1, want);
}

/* Keys. Those of a background prefetch are looked up before it is queued. */
static void key_cases(unsigned char *addr, bool stock)
{
	struct ibv_mr *mr = odp_reg(&o, addr, LEN, ODP_RW | IBV_ACCESS_ON_DEMAND);
	struct ibv_mr *readable = odp_reg(&o, addr, LEN, IBV_ACCESS_REMOTE_READ |
					  IBV_ACCESS_ON_DEMAND);
	struct ibv_mr *gone = odp_reg(&o, addr, LEN, ODP_RW | IBV_ACCESS_ON_DEMAND);
	struct ibv_pd *other = ibv_alloc_pd(o.ctx);
	const uint64_t at = (uintptr_t)addr;
	uint32_t gone_key = gone->lkey;

	ibv_dereg_mr(gone);
	for (size_t w = 0; w < WAYS; w++) {
		advise_one("a region", w, o.pd, at, LEN, mr->lkey, WANT(0));
		advise_one("an unknown key", w, o.pd, at, LEN, 0x7fffff00,
			   WANT(ENOENT));
		advise_one("key 0", w, o.pd, at, LEN, 0, WANT(ENOENT));
		advise_one("a key with a wrong last byte", w, o.pd, at, LEN,
			   mr->lkey ^ 1, WANT(ENOENT));
		advise_one("the key of a region that is gone", w, o.pd, at, LEN,
			   gone_key, WANT(ENOENT));
		if (!stock)
			advise_one("the key of a pinned region", w, o.pd,
				   (uintptr_t)bounce->addr, ODP_PAGE,
				   bounce->lkey, WANT(ENOENT));
		advise_one("a region of another protection domain", w, other, at,
			   LEN, mr->lkey, WANT(EPERM));
		advise_one("a region without write access", w, o.pd, at, LEN,
			   readable->lkey, writes(w) ? WANT(EPERM) : WANT(0));
	}
	ibv_dealloc_pd(other);
	ibv_dereg_mr(readable);
	ibv_dereg_mr(mr);
}

/* Ranges. A background prefetch is best effort: it is queued and fails alone. */
static void range_cases(unsigned char *addr)
{
	struct ibv_mr *mr = odp_reg(&o, addr, LEN, ODP_RW | IBV_ACCESS_ON_DEMAND);
	const uint64_t at = (uintptr_t)addr;

	for (size_t w = 0; w < WAYS; w++) {
		const int *fault = at_once(w) ? WANT(EFAULT) : WANT(0);

		advise_one("beyond the end", w, o.pd, at + LEN, ODP_PAGE,
			   mr->lkey, fault);
		advise_one("across the end", w, o.pd, at + LEN - 1, 2, mr->lkey,
			   fault);
		advise_one("before the start", w, o.pd, at - ODP_PAGE, ODP_PAGE,
			   mr->lkey, fault);
		advise_one("across the start", w, o.pd, at - 1, 2, mr->lkey,
			   fault);
		advise_one("a range that wraps", w, o.pd, -ODP_PAGE,
			   2 * ODP_PAGE, mr->lkey, fault);
		advise_one("2^32 - 1 bytes of a small region", w, o.pd, at,
			   UINT32_MAX, mr->lkey, fault);
		advise_one("no bytes", w, o.pd, at, 0, mr->lkey,
			   at_once(w) ? WANT(EINVAL) : WANT(0));
		advise_one("a byte that has no page", w, o.pd,
			   at + LEN - ODP_PAGE, 1, mr->lkey,
			   at_once(w) && faults(w) ? WANT(EFAULT) : WANT(0));
	}
	ibv_dereg_mr(mr);
}

static void argument_cases(unsigned char *addr)
{
	struct ibv_mr *mr = odp_reg(&o, addr, LEN, ODP_RW | IBV_ACCESS_ON_DEMAND);
	struct ibv_sge sge = { .addr = (uintptr_t)addr, .length = ODP_PAGE,
			       .lkey = mr->lkey };
	struct ibv_sge many[1024];

	for (uint32_t flags = 0; flags < 2; flags++)
		result_errno(flags ? "an unknown advice, at once" : "an unknown advice",
			     ibv_advise_mr(o.pd, 77, flags, &sge, 1),
			     WANT(EOPNOTSUPP));
	result_errno("unknown flags",
		     ibv_advise_mr(o.pd, IBV_ADVISE_MR_ADVICE_PREFETCH, 0x80000000,
				   &sge, 1), WANT(EINVAL));
	for (size_t i = 0; i < 1024; i++)
		many[i] = (struct ibv_sge){ (uintptr_t)addr + i % 8 * ODP_PAGE,
					    ODP_PAGE, mr->lkey };
	for (size_t w = 0; w < WAYS; w++) {
		advise("1024 ranges", w, o.pd, many, 1024, WANT(0));
		many[700].lkey ^= 1;
		advise("1024 ranges, one with a wrong key", w, o.pd, many, 1024,
		       WANT(ENOENT));
		many[700].lkey ^= 1;
	}
	ibv_dereg_mr(mr);
}

/* Whether this process had to fault nothing in for the READ. */
static bool reads_page(struct ibv_mr *mr, size_t offset, uint64_t stamp)
{
	memset(bounce->addr, 0, ODP_PAGE);
	return odp_rdma(&o, IBV_WR_RDMA_READ, odp_at(bounce, 0),
			odp_at(mr, offset), o.chunk) == IBV_WC_SUCCESS &&
	       odp_stamped(bounce->addr, o.chunk, 0, stamp);
}

static struct ibv_mr *reserve(unsigned char **addr, size_t len)
{
	*addr = mmap(NULL, len, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (*addr == MAP_FAILED)
		odp_die(errno, "mmap of %zu bytes", len);
	return ibv_reg_mr(o.pd, *addr, len, ODP_RW | IBV_ACCESS_ON_DEMAND);
}

/* What does not fit an int, and what does not fit 32 bits, in several ranges. */
static void large_cases(void)
{
	struct ibv_sge sges[17];
	unsigned char *addr;
	struct ibv_mr *mr = reserve(&addr, 64 * GIB);

	result_errno("register 64 GiB", mr ? 0 : errno, WANT(0));
	if (!mr) {
		munmap(addr, 64 * GIB);
		return;
	}
	odp_stamp(addr + 40 * GIB, ODP_PAGE, 0, 1);
	for (size_t i = 0; i < 17; i++)
		sges[i] = (struct ibv_sge){
			(uintptr_t)addr + i * UINT32_MAX,
			i < 16 ? UINT32_MAX : 16, mr->lkey
		};
	for (size_t w = 4; w < WAYS; w++) {
		advise_one("2^31 bytes", w, o.pd, (uintptr_t)addr, 1U << 31,
			   mr->lkey, WANT(0));
		advise_one("2^32 - 1 bytes at the end", w, o.pd,
			   (uintptr_t)addr + 64 * GIB - UINT32_MAX, UINT32_MAX,
			   mr->lkey, WANT(0));
		advise("all of 64 GiB in 17 ranges", w, o.pd, sges, 17, WANT(0));
	}
	result_is(reads_page(mr, 40 * GIB, 1), "a page in the middle of 64 GiB",
		  "read by RDMA");
	ibv_dereg_mr(mr);
	munmap(addr, 64 * GIB);
}

/* Read faults take the huge zero page, so that 3 GiB cost page tables only. */
static void populated_case(void)
{
	const size_t len = 3 * GIB;
	unsigned char *addr;
	struct ibv_mr *mr = reserve(&addr, len);

	if (!mr) {
		munmap(addr, len);
		return;
	}
	madvise(addr, len, MADV_HUGEPAGE);
	odp_stamp(addr + 5 * GIB / 2, ODP_PAGE, 0, 2);
	advise_one("3 GiB of memory that faults in", 0, o.pd, (uintptr_t)addr,
		   len, mr->lkey, WANT(0));
	result_is(reads_page(mr, 5 * GIB / 2, 2), "a page in the middle of 3 GiB",
		  "read by RDMA");
	ibv_dereg_mr(mr);
	munmap(addr, len);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void in_time(const char *what, double start, double bound)
{
	double took = seconds() - start;
	char text[60];

	snprintf(text, sizeof(text), "%.2f s", took);
	result_is(took < bound, what, text);
}

/* 1 TiB in the background: far more than there is time or memory for. */
static struct ibv_mr *queue_tib(void)
{
	struct ibv_sge sges[256];
	unsigned char *addr;
	struct ibv_mr *mr = reserve(&addr, 1024 * GIB);

	if (!mr)
		return NULL;
	for (size_t i = 0; i < 256; i++)
		sges[i] = (struct ibv_sge){ (uintptr_t)addr + i * 4 * GIB,
					    UINT32_MAX, mr->lkey };
	if (ibv_advise_mr(o.pd, IBV_ADVISE_MR_ADVICE_PREFETCH, 0, sges, 256))
		odp_die(errno, "advise_mr of 1 TiB");
	return mr;
}

static void dereg_cases(unsigned char *addr)
{
	struct ibv_mr *mr = queue_tib();
	double start = seconds();
	struct ibv_sge sge = { .addr = (uintptr_t)addr, .length = 8 * ODP_PAGE };
	int failed = 0;

	result_is(mr, "1 TiB prefetched in the background", "queued");
	if (mr) {
		failed = ibv_dereg_mr(mr);
		result_errno("it is deregistered at once", failed, WANT(0));
		in_time("the deregistration returns", start, BOUND_S);
	}
	for (int i = 0; i < 500; i++) {
		mr = odp_reg(&o, addr, LEN, ODP_RW | IBV_ACCESS_ON_DEMAND);
		sge.lkey = mr->lkey;
		for (int j = 0; j < i % 4 + 1; j++)
			failed |= ibv_advise_mr(o.pd, ways[i % 3 * 2 + 1].advice,
						0, &sge, 1);
		failed |= ibv_dereg_mr(mr);
	}
	result_errno("500 regions prefetched in the background and deregistered at once",
		     failed, WANT(0));
}

/* The owner is killed while its prefetch goes on. */
static void killed_case(void)
{
	double start;
	pid_t pid = fork();
	int status;

	if (pid < 0)
		odp_die(errno, "fork");
	if (!pid) {
		odp_open(&o);
		if (!queue_tib())
			_exit(ODP_DEFECT);
		raise(SIGKILL);
	}
	start = seconds();
	waitpid(pid, &status, 0);
	result_is(WIFSIGNALED(status), "the owner of such a prefetch is killed",
		  WIFSIGNALED(status) ? "killed" : "it failed before");
	in_time("it is gone", start, BOUND_S);
}

static void nothing(int sig)
{
	(void)sig;
}

/* Prefetches, for the first time in this process, while a signal comes. */
static int signalled_prefetch(suseconds_t us)
{
	const struct itimerval once = { .it_value.tv_usec = us };
	struct ibv_mr *mr;

	odp_open(&o);
	mr = odp_reg(&o, odp_map(LEN), LEN, ODP_RW | IBV_ACCESS_ON_DEMAND);
	signal(SIGALRM, nothing);
	setitimer(ITIMER_REAL, &once, NULL);
	return odp_prefetch(&o, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, mr, 0, LEN);
}

/* The kernel gives up on the first notifier of an address space for any signal. */
static void signalled_case(void)
{
	const suseconds_t step = STEP_US * odp_env("ODP_SLOW", 1);
	int status, err = 0;

	for (int i = 1; !err && i <= SIGNALS; i++) {
		pid_t pid = fork();

		if (pid < 0)
			odp_die(errno, "fork");
		if (!pid)
			_exit(signalled_prefetch(i * step));
		waitpid(pid, &status, 0);
		err = WEXITSTATUS(status);
	}
	result_errno("the first prefetch of a process amid a signal", err, WANT(0));
}

int main(int argc, char **argv)
{
	bool stock = argc > 1 && !strcmp(argv[1], "stock");
	unsigned char *addr;

	/* First, for the children open devices of their own */
	if (!stock) {
		killed_case();
		signalled_case();
	}
	odp_open(&o);
	bounce = odp_reg(&o, odp_map(ODP_PAGE), ODP_PAGE, ODP_RW);
	/* A page before and one after is not part of the region, its last page is a hole */
	addr = odp_map(LEN + 2 * ODP_PAGE) + ODP_PAGE;
	memset(addr, 0, LEN);
	key_cases(addr, stock);
	large_cases();
	if (!stock) {
		populated_case();
		dereg_cases(addr);
	}
	munmap(addr + LEN - ODP_PAGE, ODP_PAGE);
	range_cases(addr);
	argument_cases(addr);
	ibv_dereg_mr(bounce);
	odp_close(&o);
	return ODP_OK;
}
