// SPDX-License-Identifier: GPL-2.0
/*
 * Throughput of 1, 2 and 4 queue pairs on one region, all in one window of it: an
 * ODP region against a pinned one of the same memory, and that against another
 * pinned one as the control. In short slices, the order of which changes.
 */

#include "bench.h"

#define SLICES	30
#define COUNT	16	/* messages in a slice, of all queue pairs */

static void measure(struct bench *b, struct ibv_mr *source, struct ibv_mr *remote[3],
		    enum ibv_wr_opcode op, unsigned int pairs)
{
	const char *name = op == IBV_WR_RDMA_WRITE ? "write" : "read";
	struct bench_load load = {
		.op = op,
		.local = source,
		.length = BENCH_MESSAGE,
		.span = BENCH_WINDOW,
		.count = COUNT,
		.pairs = pairs,
	};
	double odp[SLICES], control[SLICES], rate[SLICES], took[3];

	for (int i = 0; i < SLICES; i++) {
		for (int j = 0; j < 3; j++) {
			int which = (i + j) % 3;

			load.remote = remote[which];
			took[which] = bench_transfer(b, &load);
		}
		odp[i] = took[1] / took[0];
		control[i] = took[1] / took[2];
		rate[i] = load.count * BENCH_MESSAGE / took[0] * 1e9 / MIB;
	}
	bench_result(bench_median(odp, SLICES), "scale-%s/%u", name, pairs);
	bench_result(bench_median(control, SLICES), "scale-%s-control/%u", name, pairs);
	bench_result(bench_median(rate, SLICES), "scale-%s-rate/%u", name, pairs);
}

int main(void)
{
	struct ibv_mr *source, *remote[3];
	struct bench b = {};
	void *addr;

	bench_open(&b);
	source = odp_reg(&b.o, bench_memory(MIB, false), MIB, ODP_RW);
	addr = bench_memory(BENCH_WINDOW, false);
	remote[0] = odp_reg(&b.o, addr, BENCH_WINDOW, ODP_RW | IBV_ACCESS_ON_DEMAND);
	remote[1] = odp_reg(&b.o, addr, BENCH_WINDOW, ODP_RW);
	remote[2] = odp_reg(&b.o, addr, BENCH_WINDOW, ODP_RW);
	bench_transfer(&b, &(struct bench_load){
		.op = IBV_WR_RDMA_WRITE, .local = source, .remote = remote[0],
		.length = BENCH_MESSAGE, .span = BENCH_WINDOW,
		.count = BENCH_WINDOW / BENCH_MESSAGE, .pairs = 1,
	});
	for (unsigned int pairs = 1; pairs <= BENCH_PAIRS; pairs *= 2) {
		measure(&b, source, remote, IBV_WR_RDMA_WRITE, pairs);
		measure(&b, source, remote, IBV_WR_RDMA_READ, pairs);
	}
	for (int i = 0; i < 3; i++)
		ibv_dereg_mr(remote[i]);
	ibv_dereg_mr(source);
	bench_close(&b);
	return ODP_OK;
}
