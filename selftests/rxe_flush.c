// SPDX-License-Identifier: GPL-2.0
/*
 * FLUSH: both placements, both levels, in and out of range, with and without
 * permission, on an ODP region and on a pinned one. What they answer must be the
 * same, and what was written before must be there.
 *
 * rxe_flush dram          ordinary memory: never persistent
 * rxe_flush pmem DEVICE   a device of persistent memory, /dev/daxN.N
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/qp.h"

#define LEN	(512 * ODP_PAGE)
#define GLOBAL	IBV_FLUSH_GLOBAL
#define PERSIST	IBV_FLUSH_PERSISTENT
#define BOTH	(GLOBAL | PERSIST)
#define RANGE	IBV_FLUSH_RANGE
#define WHOLE	IBV_FLUSH_MR

static const struct qp_options options = { .type = IBV_QPT_RC, .sges = 1 };

/* One FLUSH of a region that starts at offset 64 of a page. */
static const struct flush {
	const char *name;
	ssize_t offset;
	size_t len;
	unsigned int placement;
	enum ibv_selectivity_level level;
} flushes[] = {
	{ "global, one byte", 0, 1, GLOBAL, RANGE },
	{ "global, over a page's end", 4000, 200, GLOBAL, RANGE },
	{ "global, all of it as a range", 0, LEN, GLOBAL, RANGE },
	{ "global, nothing", 100, 0, GLOBAL, RANGE },
	{ "global, region", 0, 0, GLOBAL, WHOLE },
	{ "global, region, address and length are ignored", -70000, 9, GLOBAL, WHOLE },
	{ "global, a byte before", -1, 1, GLOBAL, RANGE },
	{ "global, a byte behind", LEN, 1, GLOBAL, RANGE },
	{ "global, a byte too long", 1, LEN, GLOBAL, RANGE },
	{ "persistent, one byte", 5, 1, PERSIST, RANGE },
	{ "persistent, over a page's end", 4000, 200, PERSIST, RANGE },
	{ "persistent, all of it as a range", 0, LEN, PERSIST, RANGE },
	{ "persistent, nothing", 100, 0, PERSIST, RANGE },
	{ "persistent, region", 0, 0, PERSIST, WHOLE },
	{ "persistent, a byte before", -1, 1, PERSIST, RANGE },
	{ "persistent, a byte too long", 1, LEN, PERSIST, RANGE },
	{ "both, one byte", 9, 1, BOTH, RANGE },
	{ "both, region", 0, 0, BOTH, WHOLE },
};

#define FLUSHES	(sizeof(flushes) / sizeof(flushes[0]))

/* --- what the answers are --- */

static bool in_range(const struct flush *f)
{
	return f->level == WHOLE || (f->offset >= 0 && f->len <= LEN &&
				     (size_t)f->offset <= LEN - f->len);
}

/* A FLUSH succeeds if the region allows what it asks for. */
static bool should_succeed(const struct flush *f, int access)
{
	if ((f->placement & GLOBAL) && !(access & IBV_ACCESS_FLUSH_GLOBAL))
		return false;
	if ((f->placement & PERSIST) && !(access & IBV_ACCESS_FLUSH_PERSISTENT))
		return false;
	return in_range(f);
}

/* --- doing it --- */

struct bench {
	struct odp *o, pair;
	struct ibv_mr *source;
	unsigned long wrong, tried;
};

static void *map_memory(int dax)
{
	void *addr;

	if (dax < 0)
		return odp_map(LEN + ODP_PAGE);
	addr = mmap(NULL, LEN + ODP_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
		    dax, 0);
	if (addr == MAP_FAILED)
		odp_die(errno, "mmap of the device");
	return addr;
}

/* WRITE, FLUSH of all, and the FLUSHes of the table: their status. */
static void answers(struct bench *b, int dax, int access,
		    enum ibv_wc_status status[FLUSHES])
{
	unsigned char *memory = map_memory(dax), *start = memory + 64;
	struct ibv_mr *mr = odp_reg(b->o, start, LEN, access);
	static uint64_t stamp;

	stamp++;
	for (size_t i = 0; i < FLUSHES; i++) {
		struct odp_side to = { (uintptr_t)start + flushes[i].offset, mr->rkey };
		size_t at = i * 17 * ODP_PAGE;

		odp_stamp(b->source->addr, ODP_PAGE, i, stamp);
		if (odp_rdma(&b->pair, IBV_WR_RDMA_WRITE, odp_at(b->source, 0),
			     (struct odp_side){ (uintptr_t)start + at, mr->rkey },
			     ODP_PAGE))
			odp_die(0, "RDMA WRITE failed");
		status[i] = qp_flush(&b->pair, to, flushes[i].len,
				     flushes[i].placement, flushes[i].level);
		if (status[i])
			qp_connect(&b->pair);
		b->tried++;
		if (odp_stamped(start + at, ODP_PAGE, i, stamp))
			continue;
		printf("%s, %s: wrong bytes\n", flushes[i].name,
		       access & IBV_ACCESS_ON_DEMAND ? "ODP" : "pinned");
		b->wrong++;
	}
	ibv_dereg_mr(mr);
	munmap(memory, LEN + ODP_PAGE);
}

static void compare(struct bench *b, int dax, int access)
{
	enum ibv_wc_status pinned[FLUSHES], odp[FLUSHES];

	access |= ODP_RW;
	answers(b, dax, access, pinned);
	answers(b, dax, access | IBV_ACCESS_ON_DEMAND, odp);
	for (size_t i = 0; i < FLUSHES; i++) {
		bool success = should_succeed(&flushes[i], access);

		if (pinned[i] == odp[i] && success == !odp[i])
			continue;
		b->wrong++;
		printf("%s, access %#x: ODP: %s, pinned: %s\n", flushes[i].name,
		       access, ibv_wc_status_str(odp[i]),
		       ibv_wc_status_str(pinned[i]));
	}
}

/* A region that may be persistent, on memory that is not: 0 or an errno. */
static int persistent_dram(struct bench *b, int access)
{
	void *memory = map_memory(-1);
	struct ibv_mr *mr;
	int err = 0;

	memset(memory, 1, LEN);
	mr = ibv_reg_mr(b->o->pd, memory, LEN,
			ODP_RW | IBV_ACCESS_FLUSH_PERSISTENT | access);
	if (mr)
		ibv_dereg_mr(mr);
	else
		err = errno;
	munmap(memory, LEN + ODP_PAGE);
	return err;
}

static void dram(struct bench *b)
{
	int pinned = persistent_dram(b, 0);
	int odp = persistent_dram(b, IBV_ACCESS_ON_DEMAND);

	b->tried++;
	printf("DRAM registered for persistence: ODP: %s, pinned: %s\n",
	       strerror(odp), strerror(pinned));
	if (odp != EINVAL || pinned != EINVAL)
		b->wrong++;
	compare(b, -1, IBV_ACCESS_FLUSH_GLOBAL);
	compare(b, -1, 0);
}

/* DRAM takes the place of a page of persistent memory, after registration. */
static void replaced(struct bench *b, int dax)
{
	unsigned char *memory = map_memory(dax), *page = memory + 8 * ODP_PAGE;
	struct ibv_mr *mr = odp_reg(b->o, memory, LEN, ODP_RW |
				    IBV_ACCESS_FLUSH_PERSISTENT |
				    IBV_ACCESS_ON_DEMAND);
	struct odp_side at = odp_at(mr, 7 * ODP_PAGE);
	enum ibv_wc_status before, after;

	before = qp_flush(&b->pair, at, 3 * ODP_PAGE, PERSIST, RANGE);
	if (mmap(page, ODP_PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != page)
		odp_die(errno, "mmap over the device");
	*page = 1;
	after = qp_flush(&b->pair, at, 3 * ODP_PAGE, PERSIST, RANGE);
	qp_connect(&b->pair);
	printf("DRAM in the midst of it: %s, then: %s\n",
	       ibv_wc_status_str(before), ibv_wc_status_str(after));
	b->tried++;
	b->wrong += before || after != IBV_WC_REM_ACCESS_ERR;
	ibv_dereg_mr(mr);
	munmap(memory, LEN + ODP_PAGE);
}

static void pmem(struct bench *b, const char *device)
{
	int dax = open(device, O_RDWR);

	if (dax < 0)
		odp_die(errno, "%s", device);
	compare(b, dax, IBV_ACCESS_FLUSH_GLOBAL | IBV_ACCESS_FLUSH_PERSISTENT);
	compare(b, dax, IBV_ACCESS_FLUSH_PERSISTENT);
	compare(b, dax, IBV_ACCESS_FLUSH_GLOBAL);
	replaced(b, dax);
	close(dax);
}

int main(int argc, char **argv)
{
	struct bench b = {};
	struct odp o = {};

	if (argc < 2 || argc != (strcmp(argv[1], "pmem") ? 2 : 3))
		odp_die(0, "usage: rxe_flush dram | pmem DEVICE");
	odp_open(&o);
	b.o = &o;
	qp_open(&b.pair, &o, options);
	b.source = odp_reg(&o, odp_map(ODP_PAGE), ODP_PAGE, IBV_ACCESS_LOCAL_WRITE);
	if (argc == 2)
		dram(&b);
	else
		pmem(&b, argv[2]);
	ibv_dereg_mr(b.source);
	qp_close(&b.pair);
	odp_close(&o);
	printf("%lu wrong of %lu\n", b.wrong, b.tried);
	return b.wrong ? ODP_DEFECT : ODP_OK;
}
