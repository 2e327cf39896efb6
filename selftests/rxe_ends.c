// SPDX-License-Identifier: GPL-2.0
/*
 * References that nothing under way keeps: who destroys, deregisters or exits does not wait
 * for them. Each in a process of its own.
 *
 * rxe_ends windows      cases: a type-2 memory window that is bound outlives its queue pair
 * rxe_ends overflow     cases: a completion queue that is full
 * rxe_ends responses    cases: responses behind an RNR timer, no page fault anywhere
 * rxe_ends invalidate   cases: a window that is free is invalidated. On stock the kernel
 *                       follows a NULL pointer
 * rxe_ends exit         cases: those of windows and overflow that only end with the
 *                       process: on stock after a minute, with a warning
 */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/cases.h"
#include "lib/child.h"
#include "lib/odp.h"
#include "lib/patience.h"

#define END_S		90	/* what stock does in the end takes less */
#define LEN		(16 * ODP_PAGE)

/* A process: what it prepares, what must end then, and what ends that where it does not. */
struct program {
	const char *name;
	void (*prepare)(struct odp *o);
	long (*call)(struct odp *o);	/* NULL: exit */
	void (*release)(struct odp *o);
};

static struct ibv_mr *mr;
static struct ibv_mw *mw;
static struct ibv_cq *small;

/* --- what they prepare ---------------------------------------------------------------------- */

static struct ibv_send_wr work(struct ibv_sge *sge, enum ibv_wr_opcode op)
{
	*sge = (struct ibv_sge){ (uintptr_t)mr->addr, 64, mr->lkey };
	return (struct ibv_send_wr){
		.sg_list = sge,
		.num_sge = 1,
		.opcode = op,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = { (uintptr_t)mr->addr + ODP_PAGE, mr->rkey },
	};
}

static void register_memory(struct odp *o)
{
	mr = odp_reg(o, odp_map(LEN), LEN, ODP_RW | IBV_ACCESS_MW_BIND);
}

static enum ibv_wc_status bind_window(struct odp *o)
{
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_BIND_MW,
		.send_flags = IBV_SEND_SIGNALED,
		.bind_mw = {
			.mw = mw,
			.rkey = ibv_inc_rkey(mw->rkey),
			.bind_info = { mr, (uintptr_t)mr->addr, LEN,
				       IBV_ACCESS_REMOTE_WRITE },
		},
	};
	enum ibv_wc_status status;

	odp_post(o, &wr);
	status = odp_wait_wc(o).status;
	if (!status)
		mw->rkey = wr.bind_mw.rkey;
	return status;
}

static void allocate_window(struct odp *o)
{
	mw = ibv_alloc_mw(o->pd, IBV_MW_TYPE_2);
	if (!mw)
		odp_die(errno, "ibv_alloc_mw");
}

static void must_bind(struct odp *o)
{
	enum ibv_wc_status status = bind_window(o);

	if (status)
		odp_die(0, "a window is not bound: %s", ibv_wc_status_str(status));
}

static struct ibv_qp *make_qp(struct odp *o, struct ibv_cq *receives)
{
	struct ibv_qp_init_attr init = {
		.qp_type = IBV_QPT_RC,
		.send_cq = o->cq,
		.recv_cq = receives,
		.cap = { ODP_DEPTH, ODP_DEPTH, 1, 1, 0 },
	};
	struct ibv_qp *qp = ibv_create_qp(o->pd, &init);

	if (!qp)
		odp_die(errno, "ibv_create_qp");
	return qp;
}

/* In that order: a file's objects are destroyed from the newest on. */
static void window_and_newer_qp(struct odp *o)
{
	register_memory(o);
	allocate_window(o);
	ibv_destroy_qp(o->qp);
	o->qp = make_qp(o, o->cq);
	odp_connect(o);
	must_bind(o);
}

static void window_and_older_qp(struct odp *o)
{
	register_memory(o);
	allocate_window(o);
	must_bind(o);
}

/* Until the responder is in error, because its completion queue is full. */
static void overflow(struct odp *o)
{
	struct ibv_recv_wr receive = {}, *bad;
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;
	struct ibv_send_wr wr;
	struct ibv_sge sge;

	ibv_destroy_qp(o->peer);
	small = ibv_create_cq(o->ctx, 1, NULL, NULL, 0);
	if (!small)
		odp_die(errno, "ibv_create_cq");
	o->peer = make_qp(o, small);
	odp_connect(o);
	register_memory(o);
	wr = work(&sge, IBV_WR_RDMA_WRITE_WITH_IMM);
	for (int i = 0; i < 8; i++) {
		if (ibv_post_recv(o->peer, &receive, &bad))
			odp_die(0, "ibv_post_recv");
		odp_post(o, &wr);
	}
	for (int ms = 0; ; ms++) {
		if (ibv_query_qp(o->peer, &attr, IBV_QP_STATE, &init))
			odp_die(0, "ibv_query_qp");
		if (attr.qp_state == IBV_QPS_ERR)
			break;
		if (ms > 10000)
			odp_die(0, "the completion queue does not overflow");
		usleep(1000);
	}
}

static unsigned long counted(const char *name)
{
	unsigned long count = 0;
	char path[200];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/class/infiniband/%s/ports/1/hw_counters/%s",
		 getenv("ODP_DEV") ?: "rxe0", name);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%lu", &count) != 1)
		odp_die(errno, "%s", path);
	fclose(file);
	return count;
}

/*
 * The completer has stopped at a sequence NAK, for as long as the RNR timer runs, and
 * has one more response in its queue: a peer that begins anew tells the next packet
 * that it is out of sequence, too.
 */
static void responses(struct odp *o)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTS,
		.min_rnr_timer = 0,	/* 655 ms, the longest */
	};
	const unsigned long retries = counted("completer_retry_err");
	struct ibv_send_wr wr;
	struct ibv_sge sge;

	register_memory(o);
	if (ibv_modify_qp(o->peer, &attr, IBV_QP_STATE | IBV_QP_MIN_RNR_TIMER))
		odp_die(errno, "ibv_modify_qp");
	wr = work(&sge, IBV_WR_SEND);
	odp_post(o, &wr);
	odp_post(o, &wr);
	while (counted("completer_retry_err") == retries)
		usleep(1000);
	odp_connect_to(o, o->peer, o->qp->qp_num);
	wr = work(&sge, IBV_WR_RDMA_WRITE);
	odp_post(o, &wr);
	usleep(50000);
}

/* --- what must end, and what ends it in any case ---------------------------------------- */

static long destroy_qp(struct odp *o)
{
	return ibv_destroy_qp(o->qp);
}

static long reset_qp(struct odp *o)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RESET };

	return ibv_modify_qp(o->qp, &attr, IBV_QP_STATE);
}

static long deregister(struct odp *o)
{
	(void)o;
	return ibv_dereg_mr(mr);
}

static void free_window(struct odp *o)
{
	(void)o;
	ibv_dealloc_mw(mw);
}

static void destroy_peer(struct odp *o)
{
	ibv_destroy_qp(o->peer);
}

static const struct program windows[] = {
	{ "ibv_destroy_qp before the window that is bound to it", window_and_older_qp,
	  destroy_qp, free_window },
}, overflows[] = {
	{ "ibv_dereg_mr of what a full completion queue kept from being told", overflow,
	  deregister, destroy_peer },
}, exits[] = {
	{ "exit, a bound window is older than its queue pair", window_and_newer_qp, NULL, NULL },
	{ "exit, a bound window is newer than its queue pair", window_and_older_qp, NULL, NULL },
	{ "exit, a completion queue is full", overflow, NULL, NULL },
}, behind_timer[] = {
	{ "ibv_modify_qp to RESET, responses behind the RNR timer", responses, reset_qp, NULL },
	{ "exit, responses behind the RNR timer", responses, NULL, NULL },
	{ "ibv_destroy_qp, responses behind the RNR timer", responses, destroy_qp, NULL },
};

/* --- one of them in a process ----------------------------------------------------------- */

struct releasing {
	struct odp *o;
	const struct program *p;
	bool over;
};

static void *release_late(void *arg)
{
	struct releasing *r = arg;

	sleep(2 * child_limit() + 1);
	if (!r->over)
		r->p->release(r->o);
	return NULL;
}

static void run_program(const void *argument)
{
	const struct program *p = argument;
	struct odp o = {};
	struct releasing r = { &o, p, false };
	pthread_t thread;
	long result;

	odp_open(&o);
	p->prepare(&o);
	if (p->release && pthread_create(&thread, NULL, release_late, &r))
		odp_die(0, "pthread_create");
	child_tell('c', 0);
	if (!p->call)
		_exit(ODP_OK);
	result = p->call(&o);
	r.over = true;
	child_tell('r', result);
}

static void try_program(const struct program *p, struct child *c)
{
	const double limit = child_limit();
	bool ended, gone = true;
	long result = 0;
	double start;
	char text[100];

	*c = child_start(run_program, p);
	child_must_tell(c, 'c');
	start = patience_seconds();
	ended = p->call ? child_told(c, 'r', &result, limit) : child_gone(c, limit);
	start = patience_seconds() - start;
	/* What is released in the end is, before it is killed */
	if (p->call && !ended)
		child_told(c, 'r', NULL, 4 * limit);
	if (p->call)
		gone = child_dies(c, limit);
	snprintf(text, sizeof(text), "%s, %.2f s", !gone ? "cannot be killed" :
		 !ended ? "has not ended" : result ? strerrorname_np(result) : "ended", start);
	result_is(ended && !result && gone, p->name, text);
}

static void try_programs(const struct program *p, size_t count)
{
	struct child c[8];

	for (size_t i = 0; i < count; i++)
		try_program(&p[i], &c[i]);
	for (size_t i = 0; i < count; i++)
		if (c[i].pid && !child_gone(&c[i], END_S))
			odp_die(0, "%s: not gone after %d s", p[i].name, END_S);
}

#define TRY(programs) try_programs(programs, sizeof(programs) / sizeof((programs)[0]))

/* --- windows that are free ---------------------------------------------------------------- */

static void invalidate_free(struct odp *o, const char *what)
{
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_LOCAL_INV,
		.send_flags = IBV_SEND_SIGNALED,
		.invalidate_rkey = mw->rkey,
	};
	enum ibv_wc_status status;

	odp_post(o, &wr);
	status = odp_wait_wc(o).status;
	result_is(status != IBV_WC_SUCCESS, what, ibv_wc_status_str(status));
	odp_connect(o);
}

static void invalidate(void)
{
	struct odp o = {};

	odp_open(&o);
	register_memory(&o);
	allocate_window(&o);
	invalidate_free(&o, "a window that was never bound is invalidated");
	must_bind(&o);
	odp_post(&o, &(struct ibv_send_wr){
		.opcode = IBV_WR_LOCAL_INV,
		.send_flags = IBV_SEND_SIGNALED,
		.invalidate_rkey = mw->rkey,
	});
	result_status("a window that is bound is invalidated", odp_wait_wc(&o).status,
		      IBV_WC_SUCCESS);
	invalidate_free(&o, "a window is invalidated for the second time");
	must_bind(&o);
	result_is(true, "it can be bound after that", "bound");
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "windows"))
		TRY(windows);
	else if (!strcmp(what, "overflow"))
		TRY(overflows);
	else if (!strcmp(what, "exit"))
		TRY(exits);
	else if (!strcmp(what, "responses"))
		TRY(behind_timer);
	else if (!strcmp(what, "invalidate"))
		invalidate();
	else
		odp_die(0, "usage: rxe_ends windows | overflow | exit | responses | invalidate");
	return ODP_OK;
}
