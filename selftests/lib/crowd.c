// SPDX-License-Identifier: GPL-2.0
/* See crowd.h */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crowd.h"
#include "odp.h"
#include "patience.h"
#include "uffd.h"

#define SETTLED_S	1.5	/* without a further prefetch */
#define ADVISERS	4

struct adviser {
	struct crowd *crowd;
	struct odp *o;
	struct ibv_mr *mr;
	unsigned int first;
};

static void *advise(void *arg)
{
	struct adviser *a = arg;
	struct crowd *c = a->crowd;

	for (unsigned int i = a->first; i < c->prefetches; i += ADVISERS) {
		struct ibv_sge sge = {
			.addr = (uintptr_t)a->mr->addr + (c->qps + i) * ODP_PAGE,
			.length = ODP_PAGE,
			.lkey = a->mr->lkey,
		};

		if (ibv_advise_mr(a->o->pd, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, 0, &sge, 1))
			c->refused++;
		c->advised++;
	}
	return NULL;
}

static struct ibv_qp *make_qp(struct odp *o, struct ibv_cq *cq)
{
	struct ibv_qp_init_attr init = {
		.send_cq = cq,
		.recv_cq = cq,
		.qp_type = IBV_QPT_RC,
		.cap = { .max_send_wr = 1, .max_recv_wr = 1, .max_send_sge = 1,
			 .max_recv_sge = 1 },
	};
	struct ibv_qp *qp = ibv_create_qp(o->pd, &init);

	if (!qp)
		odp_die(errno, "ibv_create_qp");
	return qp;
}

static void post_recv(struct ibv_qp *qp, struct ibv_sge *sge)
{
	struct ibv_recv_wr wr = { .wr_id = 1, .sg_list = sge, .num_sge = 1 }, *bad;
	int err = ibv_post_recv(qp, &wr, &bad);

	if (err)
		odp_die(err, "ibv_post_recv");
}

/* An operation of which one side has a page that nobody serves: turn by turn another. */
static void block(struct ibv_qp *qp, struct ibv_qp *peer, struct ibv_mr *mr,
		  struct ibv_mr *pinned, unsigned int i)
{
	static const struct {
		enum ibv_wr_opcode op;
		bool here;
	} kinds[] = {
		{ IBV_WR_RDMA_WRITE, false },	/* the responder waits */
		{ IBV_WR_RDMA_WRITE, true },	/* the requester */
		{ IBV_WR_RDMA_READ, true },	/* the completer */
		{ IBV_WR_SEND, false },		/* the responder, with a receive request */
		{ IBV_WR_RDMA_READ, false },
	};
	const size_t kind = i % (sizeof(kinds) / sizeof(kinds[0]));
	struct ibv_sge held = { (uintptr_t)mr->addr + i * ODP_PAGE, 512, mr->lkey };
	struct ibv_sge there = { (uintptr_t)pinned->addr, 512, pinned->lkey };
	struct ibv_sge *local = kinds[kind].here ? &held : &there;
	struct ibv_sge *remote = kinds[kind].here ? &there : &held;
	struct ibv_send_wr wr = {
		.sg_list = local,
		.num_sge = 1,
		.opcode = kinds[kind].op,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = { remote->addr, remote->lkey },
	};
	struct ibv_send_wr *bad;
	int err;

	if (wr.opcode == IBV_WR_SEND)
		post_recv(peer, remote);
	err = ibv_post_send(qp, &wr, &bad);
	if (err)
		odp_die(err, "ibv_post_send");
}

static void drain(struct crowd *c, struct ibv_cq *cq)
{
	struct ibv_wc wc[16];

	for (int n; (n = ibv_poll_cq(cq, 16, wc)) > 0;)
		for (int i = 0; i < n; i++) {
			if (wc[i].status)
				c->failed++;
			if (!wc[i].wr_id)
				c->completed++;
		}
}

static void await_settled(struct crowd *c)
{
	const double settled = SETTLED_S * odp_env("ODP_SLOW", 1);
	unsigned int advised = c->advised;
	double since = patience_seconds();

	while (c->advised < c->prefetches && patience_seconds() < since + settled) {
		usleep(20000);
		if (c->advised == advised)
			continue;
		advised = c->advised;
		since = patience_seconds();
	}
	usleep(500000);
}

__attribute__((noreturn)) static void be_crowd(struct crowd *c)
{
	const size_t len = (c->qps + c->prefetches) * ODP_PAGE;
	struct ibv_qp **qp = calloc(c->qps, sizeof(*qp));
	struct adviser advisers[ADVISERS];
	pthread_t threads[ADVISERS];
	struct ibv_mr *mr, *pinned;
	struct odp o = {};
	struct ibv_cq *cq;
	void *pages;

	/* Older than the device, it is closed first: an exit serves nothing before that */
	c->uffd = uffd_open();
	odp_open(&o);
	pages = odp_map(len);
	uffd_watch(c->uffd, pages, len);
	mr = odp_reg(&o, pages, len, ODP_RW | IBV_ACCESS_ON_DEMAND);
	pinned = odp_reg(&o, odp_map(ODP_PAGE), ODP_PAGE, ODP_RW);
	cq = ibv_create_cq(o.ctx, 2 * c->qps + 1, NULL, NULL, 0);
	if (!qp || !cq)
		odp_die(errno, "the crowd");
	for (unsigned int i = 0; i < c->qps; i++, c->made++) {
		qp[i] = make_qp(&o, cq);
		if (i % 2)
			odp_connect_qps(&o, qp[i - 1], qp[i]);
	}
	for (unsigned int i = 0; i < c->qps && !c->idle; i++)
		block(qp[i], qp[i ^ 1], mr, pinned, i);
	for (unsigned int i = 0; i < ADVISERS; i++) {
		advisers[i] = (struct adviser){ c, &o, mr, i };
		if (pthread_create(&threads[i], NULL, advise, &advisers[i]))
			odp_die(0, "pthread_create");
	}
	await_settled(c);
	drain(c, cq);
	c->settled = true;
	while (!c->serve)
		usleep(10000);
	uffd_unwatch(c->uffd, pages, len);
	for (unsigned int i = 0; i < ADVISERS; i++)
		pthread_join(threads[i], NULL);
	while (c->completed < c->qps) {
		drain(c, cq);
		usleep(1000);
	}
	c->served = true;
	for (;;)
		pause();
}

pid_t crowd_fork(struct crowd **crowd, unsigned int qps, unsigned int prefetches, bool idle)
{
	struct crowd *c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	if (c == MAP_FAILED)
		odp_die(errno, "mmap");
	c->qps = qps;
	c->prefetches = prefetches;
	c->idle = idle;
	c->uffd = -1;
	*crowd = c;
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		odp_die(errno, "fork");
	if (!pid)
		be_crowd(c);
	return pid;
}

bool crowd_becomes(atomic_bool *what, pid_t pid, double s)
{
	const double end = patience_seconds() + s;

	while (!*what && patience_seconds() < end) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			odp_die(0, "the crowd has ended");
		usleep(10000);
	}
	return *what;
}
