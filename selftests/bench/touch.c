// SPDX-License-Identifier: GPL-2.0
/*
 * What the first touch of resident memory costs over a warm access, per page, and
 * what a warm access costs on an ODP region and on a pinned one, per message.
 */

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "bench.h"

#define TOUCHED		(4 * MIB)
#define TOUCHES		5
#define WINDOWS		25
#define WARM		(2 * MIB)
#define SAMPLES		6

static void populate(void *addr, bool huge)
{
	memset(addr, 1, TOUCHED);
	if (huge && madvise(addr, TOUCHED, MADV_COLLAPSE))
		odp_die(errno, "huge pages");
}

/*
 * Memory that became resident after registration, and what was so before: stock
 * looks at all of that when it registers, so there the two go together.
 */
static double touch(struct bench *b, struct ibv_mr *source, void *addr, bool huge, bool before)
{
	struct bench_load load = {
		.op = IBV_WR_RDMA_WRITE,
		.local = source,
		.length = BENCH_MESSAGE,
		.span = TOUCHED,
		.count = TOUCHED / BENCH_MESSAGE,
		.pairs = 1,
	};
	double cost, start;

	if (madvise(addr, TOUCHED, MADV_DONTNEED))
		odp_die(errno, "MADV_DONTNEED");
	if (before)
		populate(addr, huge);
	start = bench_now();
	load.remote = odp_reg(&b->o, addr, TOUCHED, ODP_RW | IBV_ACCESS_ON_DEMAND);
	cost = before ? bench_now() - start : 0;
	if (!before)
		populate(addr, huge);
	cost += bench_transfer(b, &load);
	cost -= bench_transfer(b, &load);
	ibv_dereg_mr(load.remote);
	return cost / (TOUCHED / ODP_PAGE);
}

static void measure_touch(struct bench *b, struct ibv_mr *source, bool huge)
{
	void *addr = bench_memory(TOUCHED, huge);
	const char *name = huge ? "THP" : "4KiB";
	double after[TOUCHES], before[TOUCHES];

	for (int i = 0; i < TOUCHES; i++) {
		after[i] = touch(b, source, addr, huge, false);
		before[i] = touch(b, source, addr, huge, true);
	}
	bench_result(bench_median(after, TOUCHES), "touch/%s", name);
	bench_result(bench_median(before, TOUCHES), "register-and-touch/%s", name);
}

/* One small message brings in a window: all of the cost is that, if the noise is not. */
static void measure_window(struct bench *b, struct ibv_mr *source, bool huge)
{
	char *addr = bench_memory(TOUCHED, huge);
	double cost[WINDOWS];

	for (int i = 0; i < WINDOWS; i++) {
		struct bench_load load = {
			.op = IBV_WR_RDMA_WRITE,
			.local = source,
			.length = 64,
			.span = 64,
			.count = 1,
			.pairs = 1,
		};

		if (madvise(addr, TOUCHED, MADV_DONTNEED))
			odp_die(errno, "MADV_DONTNEED");
		load.remote = odp_reg(&b->o, addr, TOUCHED, ODP_RW | IBV_ACCESS_ON_DEMAND);
		populate(addr, huge);
		cost[i] = bench_transfer(b, &load);
		cost[i] -= bench_transfer(b, &load);
		ibv_dereg_mr(load.remote);
	}
	bench_result(bench_median(cost, WINDOWS) / (BENCH_WINDOW / ODP_PAGE), "touch-window/%s",
		     huge ? "THP" : "4KiB");
}

/* ODP, pinned, and pinned again as the control; each sample in another order. */
static void measure_warm(struct bench *b, struct ibv_mr *source, struct ibv_mr *remote[3],
			 enum ibv_wr_opcode op, size_t length)
{
	static const char *const names[] = { "odp", "pinned", "pinned-again" };
	struct bench_load load = {
		.op = op,
		.local = source,
		.length = length,
		.span = WARM,
		.count = length < BENCH_MESSAGE ? 128 : WARM / length,
		.pairs = 1,
	};
	double cost[3][SAMPLES];

	for (int i = 0; i < SAMPLES; i++)
		for (int j = 0; j < 3; j++) {
			int which = (i + j) % 3;

			load.remote = remote[which];
			cost[which][i] = (double)bench_transfer(b, &load) / load.count;
		}
	for (int j = 0; j < 3; j++)
		bench_result(bench_median(cost[j], SAMPLES), "warm-%s-%s/%s",
			     op == IBV_WR_RDMA_WRITE ? "write" : "read",
			     length < BENCH_MESSAGE ? "64B" : "64KiB", names[j]);
}

int main(void)
{
	struct ibv_mr *source, *remote[3];
	struct bench b = {};
	void *addr;

	bench_open(&b);
	source = odp_reg(&b.o, bench_memory(MIB, false), MIB, ODP_RW);
	measure_touch(&b, source, false);
	measure_touch(&b, source, true);
	measure_window(&b, source, false);
	measure_window(&b, source, true);

	addr = bench_memory(WARM, false);
	remote[0] = odp_reg(&b.o, addr, WARM, ODP_RW | IBV_ACCESS_ON_DEMAND);
	remote[1] = odp_reg(&b.o, addr, WARM, ODP_RW);
	remote[2] = odp_reg(&b.o, addr, WARM, ODP_RW);
	bench_transfer(&b, &(struct bench_load){
		.op = IBV_WR_RDMA_WRITE, .local = source, .remote = remote[0],
		.length = BENCH_MESSAGE, .span = WARM, .count = WARM / BENCH_MESSAGE, .pairs = 1,
	});
	measure_warm(&b, source, remote, IBV_WR_RDMA_WRITE, BENCH_MESSAGE);
	measure_warm(&b, source, remote, IBV_WR_RDMA_READ, BENCH_MESSAGE);
	measure_warm(&b, source, remote, IBV_WR_RDMA_WRITE, 64);
	measure_warm(&b, source, remote, IBV_WR_RDMA_READ, 64);
	for (int i = 0; i < 3; i++)
		ibv_dereg_mr(remote[i]);
	ibv_dereg_mr(source);
	bench_close(&b);
	return ODP_OK;
}
