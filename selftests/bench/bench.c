// SPDX-License-Identifier: GPL-2.0
/* Shared by the clients of `make bench`, see bench.h */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "bench.h"

static struct ibv_qp *make_qp(struct bench *b)
{
	struct ibv_qp_init_attr init = {
		.send_cq = b->cq,
		.recv_cq = b->cq,
		.qp_type = IBV_QPT_RC,
		.cap = {
			.max_send_wr = BENCH_DEPTH,
			.max_recv_wr = BENCH_DEPTH,
			.max_send_sge = 1,
			.max_recv_sge = 1,
		},
	};
	struct ibv_qp *qp = ibv_create_qp(b->o.pd, &init);

	if (!qp)
		odp_die(errno, "ibv_create_qp");
	return qp;
}

void bench_open(struct bench *b)
{
	odp_open(&b->o);
	b->channel = ibv_create_comp_channel(b->o.ctx);
	if (!b->channel)
		odp_die(errno, "ibv_create_comp_channel");
	b->cq = ibv_create_cq(b->o.ctx, 2 * BENCH_PAIRS * BENCH_DEPTH, NULL,
			      b->channel, 0);
	if (!b->cq)
		odp_die(errno, "ibv_create_cq");
	for (int i = 0; i < BENCH_PAIRS; i++) {
		b->qp[i] = make_qp(b);
		b->peer[i] = make_qp(b);
		odp_connect_qps(&b->o, b->qp[i], b->peer[i]);
	}
}

void bench_close(struct bench *b)
{
	for (int i = 0; i < BENCH_PAIRS; i++) {
		ibv_destroy_qp(b->qp[i]);
		ibv_destroy_qp(b->peer[i]);
	}
	ibv_destroy_cq(b->cq);
	ibv_destroy_comp_channel(b->channel);
	odp_close(&b->o);
}

uint64_t bench_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

#define RECEIVED	BENCH_PAIRS	/* the wr_id of what is received */

static void post_recv(struct bench *b, unsigned int pair, struct odp_side where, size_t length)
{
	struct ibv_sge sge = { where.addr, length, where.key };
	struct ibv_recv_wr wr = { .wr_id = RECEIVED, .sg_list = &sge, .num_sge = 1 };
	struct ibv_recv_wr *bad;
	int err = ibv_post_recv(b->peer[pair], &wr, &bad);

	if (err)
		odp_die(err, "ibv_post_recv");
}

static void post(struct bench *b, const struct bench_load *load,
		 unsigned int message, unsigned int pair)
{
	size_t offset = message * (load->stride ?: load->length);
	struct odp_side remote = odp_at(load->remote, offset % load->span);
	struct ibv_sge sge = {
		.addr = odp_at(load->local, offset % load->local->length).addr,
		.length = load->length,
		.lkey = load->local->lkey,
	};
	struct ibv_send_wr wr = {
		.wr_id = pair,
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = load->op,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = { .remote_addr = remote.addr, .rkey = remote.key },
	};
	struct ibv_send_wr *bad;
	int err;

	if (load->op == IBV_WR_SEND)
		post_recv(b, pair, remote, load->length);
	err = ibv_post_send(b->qp[pair], &wr, &bad);
	if (err)
		odp_die(err, "ibv_post_send");
}

static unsigned int poll_cq(struct bench *b, struct ibv_wc *wc, int entries)
{
	int n = ibv_poll_cq(b->cq, entries, wc);

	if (n < 0)
		odp_die(0, "ibv_poll_cq failed");
	return n;
}

/* At least one completion, asleep until there is one. */
static unsigned int wait_cq(struct bench *b, struct ibv_wc *wc, int entries)
{
	unsigned int n;

	while (!(n = poll_cq(b, wc, entries))) {
		struct ibv_cq *cq;
		void *context;
		int err = ibv_req_notify_cq(b->cq, 0);

		if (err)
			odp_die(err, "ibv_req_notify_cq");
		n = poll_cq(b, wc, entries);
		if (n)
			break;
		if (ibv_get_cq_event(b->channel, &cq, &context))
			odp_die(errno, "ibv_get_cq_event");
		ibv_ack_cq_events(cq, 1);
	}
	return n;
}

uint64_t bench_transfer(struct bench *b, const struct bench_load *load)
{
	unsigned int posted = 0, done = 0, busy[BENCH_PAIRS] = {};
	struct ibv_wc wc[BENCH_DEPTH];
	uint64_t start = bench_now();

	while (done < load->count) {
		for (unsigned int pair = 0; pair < load->pairs; pair++)
			while (busy[pair] < BENCH_DEPTH && posted < load->count) {
				post(b, load, posted++, pair);
				busy[pair]++;
			}
		for (unsigned int n = wait_cq(b, wc, BENCH_DEPTH); n; n--) {
			if (wc[n - 1].status)
				odp_die(0, "a message failed: %s",
					ibv_wc_status_str(wc[n - 1].status));
			if (wc[n - 1].wr_id == RECEIVED)
				continue;
			busy[wc[n - 1].wr_id]--;
			done++;
		}
	}
	return bench_now() - start;
}

void *bench_memory(size_t len, bool huge)
{
	uintptr_t found = (uintptr_t)odp_map(len + BENCH_WINDOW);
	void *addr = (void *)((found + BENCH_WINDOW - 1) & -BENCH_WINDOW);

	memset(addr, 1, len);
	if (huge && (madvise(addr, len, MADV_HUGEPAGE) ||
		     madvise(addr, len, MADV_COLLAPSE)))
		odp_die(errno, "%zu bytes of huge pages", len);
	return addr;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(double *values, unsigned int count)
{
	qsort(values, count, sizeof(*values), compare);
	return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

void bench_result(double value, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf(" %.3f\n", value);
	fflush(stdout);
}
