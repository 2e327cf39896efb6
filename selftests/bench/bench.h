/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the clients of `make bench` share: several RC queue pairs of one process
 * that sleep while the device works, so that no polling is measured, and results
 * as lines "MEASURE VALUE".
 */
#ifndef BENCH_H
#define BENCH_H

#include "../lib/odp.h"

#define BENCH_PAIRS	4
#define BENCH_DEPTH	16		/* work requests in flight of a pair */
#define BENCH_MESSAGE	(64UL << 10)
#define BENCH_WINDOW	(2UL << 20)

#define MIB	(1024 * 1024UL)
#define GIB	(1024 * MIB)
#define TIB	(1024 * GIB)

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

struct bench {
	struct odp o;
	struct ibv_comp_channel *channel;
	struct ibv_cq *cq;
	struct ibv_qp *qp[BENCH_PAIRS], *peer[BENCH_PAIRS];
};

/*
 * count messages of length bytes, one after the other through span bytes; SENDs are
 * received where a WRITE would go.
 */
struct bench_load {
	enum ibv_wr_opcode op;
	struct ibv_mr *local, *remote;
	size_t length, span;
	size_t stride;		/* from message to message; 0: length */
	unsigned int count, pairs;
};

void bench_open(struct bench *b);
void bench_close(struct bench *b);

uint64_t bench_now(void);

/* Nanoseconds until the last completion; exits if a message fails. */
uint64_t bench_transfer(struct bench *b, const struct bench_load *load);

/* Private anonymous memory of whole windows, all pages there: small or huge ones. */
void *bench_memory(size_t len, bool huge);

/* The middle one; sorts them. */
double bench_median(double *values, unsigned int count);

__attribute__((format(printf, 2, 3)))
void bench_result(double value, const char *fmt, ...);

#endif
