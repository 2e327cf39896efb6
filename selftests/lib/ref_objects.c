// SPDX-License-Identifier: GPL-2.0
/* Objects of RDMA devices that come and go, see ref.h */

#include <pthread.h>

#include "patience.h"
#include "ref.h"

#define QKEY		0x11111111
#define DEPTH		16
#define ACCESS		(ODP_RW | IBV_ACCESS_REMOTE_ATOMIC | IBV_ACCESS_MW_BIND)

void ref_begin(struct ref_thread *t, const char *name)
{
	t->call->since = patience_seconds();
	t->call->name = name;
}

void ref_end(struct ref_thread *t)
{
	const double took = patience_seconds() - t->call->since;
	struct ref_storm *s = t->world->storm;

	if (took > s->slowest) {
		s->slowest = took;
		s->slowest_name = t->call->name;
	}
	t->call->name = NULL;
}

/* --- memory regions and windows ------------------------------------------------------------ */

void ref_make_region(struct ref_thread *t, unsigned int device, unsigned int slot)
{
	struct ref_region *r = &t->world->regions[device][slot];
	int access = ACCESS;

	r->memory = slot;
	if (slot != REF_PINNED)
		access |= IBV_ACCESS_ON_DEMAND;
	r->mr = REF_CALL(t, ibv_reg_mr, t->world->devices[device].pd, t->world->memory[slot],
			 REF_LEN, access);
	if (!r->mr)
		return;
	ref_add(t, REF_REGIONS);
	r->addr = (uintptr_t)r->mr->addr;
	r->key = r->mr->rkey;
}

bool ref_free_region(struct ref_thread *t, struct ref_region *r)
{
	if (r->mr && REF_CALL(t, ibv_dereg_mr, r->mr))
		return false;
	r->mr = NULL;
	return true;
}

void ref_make_window(struct ref_thread *t, unsigned int device, struct ref_window *w)
{
	w->mw = REF_CALL(t, ibv_alloc_mw, t->world->devices[device].pd,
			 odp_random(t->rnd, 2) ? IBV_MW_TYPE_1 : IBV_MW_TYPE_2);
	if (!w->mw)
		return;
	ref_add(t, REF_WINDOWS);
	w->rkey = w->mw->rkey;
}

bool ref_free_window(struct ref_thread *t, struct ref_window *w)
{
	if (w->mw && REF_CALL(t, ibv_dealloc_mw, w->mw))
		return false;
	w->mw = NULL;
	return true;
}

/* --- shared receive queues ------------------------------------------------------------------- */

void ref_make_srq(struct ref_thread *t, unsigned int device)
{
	struct ibv_srq_init_attr init = { .attr = { .max_wr = DEPTH, .max_sge = 1 } };

	t->world->srq[device] = REF_CALL(t, ibv_create_srq, t->world->devices[device].pd, &init);
	if (t->world->srq[device])
		ref_add(t, REF_SRQS);
}

/* Not while queue pairs use it. */
bool ref_free_srq(struct ref_thread *t, unsigned int device)
{
	struct ibv_srq *srq = t->world->srq[device];

	if (srq && REF_CALL(t, ibv_destroy_srq, srq))
		return false;
	t->world->srq[device] = NULL;
	return true;
}

/* --- queue pairs -------------------------------------------------------------------------- */

static struct ibv_qp *make_qp(struct ref_thread *t, struct ref_pair *p, unsigned int end)
{
	struct odp *o = &t->world->devices[p->device[end]];
	struct ibv_qp_init_attr init = {
		.send_cq = p->cq[end],
		.recv_cq = p->cq[end],
		.qp_type = p->type,
		.cap = { .max_send_wr = DEPTH, .max_recv_wr = DEPTH, .max_send_sge = 1,
			 .max_recv_sge = 1 },
		.sq_sig_all = odp_random(t->rnd, 2),
	};
	struct ibv_qp *qp;

	pthread_mutex_lock(&t->world->srq_lock);
	p->has_srq[end] = p->type == IBV_QPT_RC && odp_random(t->rnd, 2) &&
			  t->world->srq[p->device[end]];
	if (p->has_srq[end])
		init.srq = t->world->srq[p->device[end]];
	qp = REF_CALL(t, ibv_create_qp, o->pd, &init);
	pthread_mutex_unlock(&t->world->srq_lock);
	if (qp)
		ref_add(t, REF_QPS);
	return qp;
}

static struct ibv_ah_attr way_to(struct ref_world *w, unsigned int from, unsigned int to)
{
	return (struct ibv_ah_attr){
		.is_global = 1,
		.port_num = 1,
		.grh = { .dgid = w->devices[to].gid, .sgid_index = w->devices[from].gid_index,
			 .hop_limit = 1 },
	};
}

static int connect(struct ref_thread *t, struct ref_pair *p, unsigned int end)
{
	struct ref_world *w = t->world;
	const bool is_ud = p->type == IBV_QPT_UD, is_rc = p->type == IBV_QPT_RC;
	const int init_mask = IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
			      (is_ud ? IBV_QP_QKEY : IBV_QP_ACCESS_FLAGS);
	const int connected = is_ud ? 0 : IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
					 IBV_QP_RQ_PSN;
	const int rtr_mask = IBV_QP_STATE | connected |
			     (is_rc ? IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER : 0);
	const int rts_mask = IBV_QP_STATE | IBV_QP_SQ_PSN |
			     (is_rc ? IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
				      IBV_QP_MAX_QP_RD_ATOMIC : 0);
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RESET,
		.port_num = 1,
		.qkey = QKEY,
		.qp_access_flags = ODP_RW | IBV_ACCESS_REMOTE_ATOMIC,
		.ah_attr = way_to(w, p->device[end], p->device[!end]),
		.path_mtu = w->devices[p->device[end]].mtu,
		.dest_qp_num = p->qp[!end]->qp_num,
		.max_dest_rd_atomic = DEPTH,
		.min_rnr_timer = odp_random(t->rnd, 15),
		.timeout = 10 + odp_random(t->rnd, 6),	/* 4 to 134 ms */
		.retry_cnt = 1 + odp_random(t->rnd, 7),
		.rnr_retry = 1 + odp_random(t->rnd, 7),
		.max_rd_atomic = DEPTH,
	};
	int err = REF_CALL(t, ibv_modify_qp, p->qp[end], &attr, IBV_QP_STATE);

	attr.qp_state = IBV_QPS_INIT;
	err = err ?: REF_CALL(t, ibv_modify_qp, p->qp[end], &attr, init_mask);
	attr.qp_state = IBV_QPS_RTR;
	err = err ?: REF_CALL(t, ibv_modify_qp, p->qp[end], &attr, rtr_mask);
	attr.qp_state = IBV_QPS_RTS;
	return err ?: REF_CALL(t, ibv_modify_qp, p->qp[end], &attr, rts_mask);
}

int ref_connect_pair(struct ref_thread *t, struct ref_pair *p)
{
	return connect(t, p, 0) ?: connect(t, p, 1);
}

void ref_make_pair(struct ref_thread *t, struct ref_pair *p)
{
	static const enum ibv_qp_type types[] = { IBV_QPT_RC, IBV_QPT_RC, IBV_QPT_RC, IBV_QPT_UC,
						  IBV_QPT_UD };
	struct ref_world *w = t->world;

	p->type = types[odp_random(t->rnd, sizeof(types) / sizeof(types[0]))];
	for (unsigned int end = 0; end < 2; end++) {
		p->device[end] = odp_random(t->rnd, REF_DEVICES);
		/* One of three overflows before long */
		p->cq[end] = REF_CALL(t, ibv_create_cq, w->devices[p->device[end]].ctx,
				      odp_random(t->rnd, 3) ? 4 * DEPTH : 3, NULL, NULL, 0);
		p->qp[end] = p->cq[end] ? make_qp(t, p, end) : NULL;
	}
	for (unsigned int end = 0; end < 2 && p->type == IBV_QPT_UD; end++) {
		struct ibv_ah_attr attr = way_to(w, p->device[end], p->device[!end]);

		p->ah[end] = REF_CALL(t, ibv_create_ah, w->devices[p->device[end]].pd, &attr);
	}
	if (p->qp[0] && p->qp[1])
		ref_connect_pair(t, p);
}

static bool free_end(struct ref_thread *t, struct ref_pair *p, unsigned int end)
{
	if (p->qp[end] && REF_CALL(t, ibv_destroy_qp, p->qp[end]))
		return false;
	p->qp[end] = NULL;
	if (p->cq[end] && REF_CALL(t, ibv_destroy_cq, p->cq[end]))
		return false;
	p->cq[end] = NULL;
	if (p->ah[end] && REF_CALL(t, ibv_destroy_ah, p->ah[end]))
		return false;
	p->ah[end] = NULL;
	return true;
}

bool ref_free_pair(struct ref_thread *t, struct ref_pair *p)
{
	const unsigned int first = odp_random(t->rnd, 2);

	return free_end(t, p, first) && free_end(t, p, !first);
}
