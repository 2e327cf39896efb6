// SPDX-License-Identifier: GPL-2.0
/*
 * Random and almost right bytes in all rings that rxe shares with a process, while it works
 * on them: requests, completions and indices, of queue pairs of all types in all states.
 *
 * rxe_rings_fuzz ENTRIES destroy|exit
 *
 * Writes so many entries, and destroys what it has, or exits with it. A second thread writes
 * where it likes meanwhile. SEED as in lib/odp.h. Exit status 1: a call failed that may not.
 */

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/odp.h"
#include "lib/qp.h"
#include "lib/rings.h"

#define REGION	(64 * ODP_PAGE)
#define SGES	4
#define INLINE	64
#define WRS	31
#define STATUSES 32
#define SCRIBBLES 128	/* words, and a pause of */
#define PAUSE_US 200

enum { MR_PINNED, MR_ODP, MRS };
enum { CQ_LONG, CQ_SHORT, CQS };
enum { RC, RC_SRQ, UC, UD, PAIRS };

struct queue_pair {
	struct ibv_qp *qp;
	struct ring sq, rq;	/* rq.buf: NULL with an SRQ */
	uint32_t peer;
};

struct fuzz {
	struct odp o;
	struct queue_pair pair[PAIRS][2];
	struct ibv_cq *cq[CQS];
	struct ring cq_ring[CQS], srq_ring;
	uint32_t seen[CQS];
	struct ibv_srq *srq;
	struct ibv_ah *ah;
	uint32_t ah_num;
	struct ibv_mr *mr[MRS];
	struct ibv_mw *mw[2];
	unsigned short rnd[3];
	unsigned long entries, doorbells, connects, resizes, scribbled, status[STATUSES];
	pthread_mutex_t rings;	/* held by who maps them anew */
	atomic_bool over;
};

static uint64_t below(struct fuzz *f, uint64_t n)
{
	return odp_random(f->rnd, n);
}

static uint64_t any(unsigned short rnd[3])
{
	return (uint64_t)nrand48(rnd) << 40 ^ (uint64_t)nrand48(rnd) << 20 ^ nrand48(rnd);
}

/* As those write who look for a mistake. */
static uint32_t hostile(unsigned short rnd[3])
{
	static const uint32_t values[] = {
		0, 1, 2, 3, 4, 5, 16, 32, 64, 255, 256, 4095, 4096, 0x7fffffff, 0x80000000,
		0xfffffffe, 0xffffffff,
	};
	const size_t count = sizeof(values) / sizeof(values[0]);
	size_t n = odp_random(rnd, 2 * count);

	return n < count ? values[n] : any(rnd);
}

/* --- what there is ------------------------------------------------------------------- */

static void make_qp(struct fuzz *f, struct queue_pair *q, enum ibv_qp_type type, bool srq)
{
	struct ibv_qp_init_attr init = {
		.qp_type = type,
		.send_cq = f->cq[CQ_LONG],
		.recv_cq = f->cq[srq ? CQ_SHORT : CQ_LONG],
		.srq = srq ? f->srq : NULL,
		.sq_sig_all = 1,
		.cap = { WRS, WRS, SGES, SGES, INLINE },
	};
	struct ring rings[2];

	q->qp = ibv_create_qp(f->o.pd, &init);
	if (!q->qp)
		odp_die(errno, "ibv_create_qp");
	rings_find(rings, srq ? 1 : 2);
	q->sq = rings[0];
	q->rq = srq ? (struct ring){} : rings[1];
}

static void make_all(struct fuzz *f)
{
	static const enum ibv_qp_type types[PAIRS] = {
		IBV_QPT_RC, IBV_QPT_RC, IBV_QPT_UC, IBV_QPT_UD
	};
	struct ibv_srq_init_attr srq = { .attr = { .max_wr = WRS, .max_sge = SGES } };
	struct ibv_ah_attr ah = {
		.is_global = 1,
		.port_num = 1,
		.grh = { .dgid = f->o.gid, .sgid_index = f->o.gid_index, .hop_limit = 1 },
	};

	for (int i = 0; i < CQS; i++) {
		f->cq[i] = ibv_create_cq(f->o.ctx, i == CQ_LONG ? 255 : 7, NULL, NULL, 0);
		if (!f->cq[i])
			odp_die(errno, "ibv_create_cq");
		rings_find(&f->cq_ring[i], 1);
	}
	f->srq = ibv_create_srq(f->o.pd, &srq);
	f->ah = ibv_create_ah(f->o.pd, &ah);
	if (!f->srq || !f->ah)
		odp_die(errno, "ibv_create_srq or ibv_create_ah");
	rings_find(&f->srq_ring, 1);
	for (int p = 0; p < PAIRS; p++) {
		for (int i = 0; i < 2; i++)
			make_qp(f, &f->pair[p][i], types[p], p == RC_SRQ);
		for (int i = 0; i < 2; i++)
			f->pair[p][i].peer = f->pair[p][!i].qp->qp_num;
	}
	for (int i = 0; i < MRS; i++)
		f->mr[i] = odp_reg(&f->o, odp_map(REGION), REGION,
				   ODP_RW | IBV_ACCESS_REMOTE_ATOMIC | IBV_ACCESS_MW_BIND |
				   (i == MR_ODP ? IBV_ACCESS_ON_DEMAND : 0));
	for (int i = 0; i < 2; i++)
		f->mw[i] = ibv_alloc_mw(f->o.pd, i ? IBV_MW_TYPE_2 : IBV_MW_TYPE_1);
}

/* Whether all of it can be destroyed. */
static bool destroy_all(struct fuzz *f)
{
	int err = 0;

	for (int p = 0; p < PAIRS; p++)
		for (int i = 0; i < 2; i++)
			err = err ?: ibv_destroy_qp(f->pair[p][i].qp);
	for (int i = 0; i < 2; i++)
		err = err ?: ibv_dealloc_mw(f->mw[i]);
	for (int i = 0; i < MRS; i++)
		err = err ?: ibv_dereg_mr(f->mr[i]);
	err = err ?: ibv_destroy_ah(f->ah) ?: ibv_destroy_srq(f->srq);
	for (int i = 0; i < CQS; i++)
		err = err ?: ibv_destroy_cq(f->cq[i]);
	if (err)
		printf("something cannot be destroyed: %s\n", strerror(err));
	odp_close(&f->o);
	return !err;
}

/* --- states -------------------------------------------------------------------------- */

static bool modify(struct queue_pair *q, struct ibv_qp_attr attr, enum ibv_qp_state state,
		   int mask)
{
	attr.qp_state = state;
	return !ibv_modify_qp(q->qp, &attr, mask | IBV_QP_STATE);
}

/* To that state, by way of RESET. */
static void bring(struct fuzz *f, struct queue_pair *q, enum ibv_qp_state state)
{
	const bool ud = q->qp->qp_type == IBV_QPT_UD, rc = q->qp->qp_type == IBV_QPT_RC;
	struct ibv_qp_attr attr = {
		.port_num = 1,
		.qkey = QP_QKEY,
		.qp_access_flags = ODP_QP_ACCESS,
		.path_mtu = IBV_MTU_256,
		.dest_qp_num = q->peer,
		.max_dest_rd_atomic = 4,
		.max_rd_atomic = 4,
		.min_rnr_timer = 1,
		.timeout = 14,
		.retry_cnt = 2,
		.rnr_retry = 1,
		.ah_attr = {
			.is_global = 1,
			.port_num = 1,
			.grh = { f->o.gid, 0, f->o.gid_index, 1, 0 },
		},
	};

	f->connects++;
	modify(q, attr, IBV_QPS_RESET, 0);
	if (state == IBV_QPS_RESET)
		return;
	modify(q, attr, IBV_QPS_INIT, IBV_QP_PKEY_INDEX | IBV_QP_PORT |
	       (ud ? IBV_QP_QKEY : IBV_QP_ACCESS_FLAGS));
	if (state == IBV_QPS_INIT)
		return;
	modify(q, attr, IBV_QPS_RTR, ud ? 0 : IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
	       IBV_QP_RQ_PSN | (rc ? IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER : 0));
	if (state == IBV_QPS_RTR)
		return;
	modify(q, attr, IBV_QPS_RTS, IBV_QP_SQ_PSN |
	       (rc ? IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
		     IBV_QP_MAX_QP_RD_ATOMIC : 0));
	if (state != IBV_QPS_RTS)
		modify(q, attr, state, 0);
}

/* Mostly to where they work; both ends, as PSNs begin anew. */
static void change_state(struct fuzz *f, struct queue_pair pair[2])
{
	static const enum ibv_qp_state states[] = {
		IBV_QPS_RESET, IBV_QPS_INIT, IBV_QPS_RTR, IBV_QPS_SQD, IBV_QPS_ERR,
	};
	size_t n = below(f, 40);

	for (int i = 0; i < 2; i++)
		bring(f, &pair[i], n < 5 ? states[n] : IBV_QPS_RTS);
}

static bool has_failed(struct queue_pair *q)
{
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;

	return ibv_query_qp(q->qp, &attr, IBV_QP_STATE, &init) || attr.qp_state == IBV_QPS_ERR;
}

/* --- entries ------------------------------------------------------------------------- */

/* A list of that length, which may be longer than the region. */
static void make_list(struct fuzz *f, struct rxe_dma_info *dma, uint32_t most)
{
	dma->length = 0;
	dma->num_sge = below(f, SGES + 1);
	for (uint32_t i = 0; i < dma->num_sge; i++) {
		struct ibv_mr *mr = f->mr[below(f, MRS)];
		uint32_t length = below(f, most);

		dma->sge[i] = (struct rxe_sge){
			(uintptr_t)mr->addr + below(f, REGION - most), length, mr->lkey,
		};
		dma->length += length;
	}
	dma->resid = dma->length;
	dma->cur_sge = 0;
	dma->sge_offset = 0;
}

static void make_send(struct fuzz *f, struct queue_pair *q, struct rxe_send_wqe *wqe)
{
	struct ibv_mr *mr = f->mr[below(f, MRS)];

	memset(wqe, 0, sizeof(*wqe));
	wqe->wr.wr_id = f->entries;
	wqe->wr.send_flags = below(f, 32);
	wqe->wr.ex.invalidate_rkey = below(f, 2) ? f->mw[1]->rkey : mr->rkey;
	make_list(f, &wqe->dma, q->qp->qp_type == IBV_QPT_UD ? 60 : 2000);
	if (q->qp->qp_type == IBV_QPT_UD) {
		wqe->wr.opcode = below(f, 2) ? IBV_WR_SEND : IBV_WR_SEND_WITH_IMM;
		wqe->wr.wr.ud.remote_qpn = q->peer;
		wqe->wr.wr.ud.remote_qkey = QP_QKEY;
		wqe->wr.wr.ud.ah_num = f->ah_num;
		return;
	}
	wqe->wr.opcode = below(f, 17);
	wqe->wr.wr.rdma.remote_addr = ((uintptr_t)mr->addr + below(f, REGION - 8000)) & ~7UL;
	wqe->wr.wr.rdma.rkey = mr->rkey;
	wqe->iova = wqe->wr.wr.rdma.remote_addr;
	if (wqe->wr.opcode == IBV_WR_BIND_MW) {
		wqe->wr.wr.mw.length = below(f, 5000);
		wqe->wr.wr.mw.mr_lkey = mr->lkey;
		wqe->wr.wr.mw.mw_rkey = f->mw[below(f, 2)]->rkey;
		wqe->wr.wr.mw.rkey = wqe->wr.wr.mw.mw_rkey + below(f, 2);
		wqe->wr.wr.mw.access = below(f, 16);
	} else if (wqe->wr.opcode == IBV_WR_ATOMIC_CMP_AND_SWP ||
		   wqe->wr.opcode == IBV_WR_ATOMIC_FETCH_AND_ADD) {
		wqe->wr.wr.atomic.rkey = mr->rkey;
	} else if (wqe->wr.opcode == IBV_WR_ATOMIC_WRITE) {
		wqe->dma.length = 8;
	}
	if (wqe->wr.send_flags & IBV_SEND_INLINE && below(f, 4))
		wqe->dma.length = below(f, INLINE + 1);
}

static void make_receive(struct fuzz *f, struct rxe_recv_wqe *wqe)
{
	memset(wqe, 0, sizeof(*wqe));
	wqe->wr_id = f->entries;
	make_list(f, &wqe->dma, 6000);
}

/* Two fifths stay right, two fifths have some words changed, one is anything. */
static void mutate(struct fuzz *f, void *entry, size_t bytes)
{
	uint32_t *words = entry;
	size_t count = bytes / sizeof(*words), changes = 1 + below(f, 3);

	switch (below(f, 5)) {
	case 0:
		for (size_t i = 0; i < count; i++)
			words[i] = any(f->rnd);
		break;
	case 1 ... 2:
		while (changes--)
			words[below(f, count)] = hostile(f->rnd);
		break;
	}
}

static void advance(struct fuzz *f, struct ring *ring)
{
	switch (below(f, 40)) {
	case 0:
		ring_set_producer(ring, hostile(f->rnd));
		break;
	case 1:
		ring_set_producer(ring, ring_producer(ring) + below(f, 9) - 4);
		break;
	default:
		ring_push(ring);
	}
}

static void write_entries(struct fuzz *f, struct queue_pair *q)
{
	for (unsigned int n = 1 + below(f, 6); n; n--, f->entries++) {
		struct ring *ring = &q->sq;

		if (below(f, 3)) {
			struct rxe_send_wqe *wqe = ring_slot(ring, ring_producer(ring));

			make_send(f, q, wqe);
			mutate(f, wqe, sizeof(*wqe) + INLINE);
		} else {
			struct rxe_recv_wqe *wqe;

			ring = q->rq.buf ? &q->rq : &f->srq_ring;
			wqe = ring_slot(ring, ring_producer(ring));
			make_receive(f, wqe);
			mutate(f, wqe, sizeof(*wqe) + SGES * sizeof(struct rxe_sge));
		}
		advance(f, ring);
	}
	ring_doorbell(q->qp);
	f->doorbells++;
}

/* --- completions, and rings that are made anew ------------------------------------------ */

/* What the kernel says. libibverbs would believe what is written in the ring. */
static void poll(struct fuzz *f, int i)
{
	struct ring *ring = &f->cq_ring[i];
	uint32_t producer = ring_producer(ring) & ring->mask;

	for (; f->seen[i] != producer; f->seen[i] = (f->seen[i] + 1) & ring->mask) {
		struct ib_uverbs_wc *wc = ring_slot(ring, f->seen[i]);

		f->status[wc->status < STATUSES ? wc->status : STATUSES - 1]++;
	}
	ring->buf->consumer_index = below(f, 50) ? producer : hostile(f->rnd);
}

static void resize(struct fuzz *f)
{
	struct ibv_srq_attr attr = { .max_wr = 1 + below(f, 100) };
	int i = below(f, CQS + 1), size = 1 + below(f, i == CQ_LONG ? 500 : 20);

	pthread_mutex_lock(&f->rings);
	if (i < CQS) {
		if (!ibv_resize_cq(f->cq[i], size)) {
			rings_find(&f->cq_ring[i], 1);
			f->seen[i] = ring_producer(&f->cq_ring[i]) & f->cq_ring[i].mask;
			f->resizes++;
		}
	} else if (!ibv_modify_srq(f->srq, &attr, IBV_SRQ_MAX_WR)) {
		rings_find(&f->srq_ring, 1);
		f->resizes++;
	}
	pthread_mutex_unlock(&f->rings);
}

/* --- who writes anywhere, at any time -------------------------------------------------- */

static struct ring *any_ring(struct fuzz *f, unsigned short rnd[3])
{
	struct queue_pair *q = &f->pair[odp_random(rnd, PAIRS)][odp_random(rnd, 2)];

	switch (odp_random(rnd, 8)) {
	case 0:
		return &f->cq_ring[odp_random(rnd, CQS)];
	case 1:
		return &f->srq_ring;
	case 2 ... 4:
		return q->rq.buf ? &q->rq : &f->srq_ring;
	default:
		return &q->sq;
	}
}

static void *scribble(void *argument)
{
	struct fuzz *f = argument;
	unsigned short rnd[3] = { f->rnd[1], f->rnd[2], f->rnd[0] };

	while (!atomic_load(&f->over)) {
		pthread_mutex_lock(&f->rings);
		for (int i = 0; i < SCRIBBLES; i++, f->scribbled++) {
			struct ring *ring = any_ring(f, rnd);
			size_t bytes = (size_t)(ring->mask + 1) << ring->shift;
			uint32_t *at = (void *)(ring->buf->data + (odp_random(rnd, bytes) & ~3UL));

			/* Most of what is not an entry is padding. */
			switch (odp_random(rnd, 16)) {
			case 0:
				at = &ring->buf->consumer_index;
				break;
			case 1:
				at = &ring->buf->producer_index;
				break;
			case 2:
				at = odp_random(rnd, 2) ? &ring->buf->index_mask :
							  &ring->buf->log2_elem_size;
				break;
			}
			__atomic_store_n(at, hostile(rnd), __ATOMIC_RELAXED);
		}
		pthread_mutex_unlock(&f->rings);
		usleep(PAUSE_US);
	}
	return NULL;
}

/* ------------------------------------------------------------------------------------- */

/* Some requests must come through, or nothing was tested. */
static bool report(struct fuzz *f)
{
	printf("count %lu entries\ncount %lu doorbells\ncount %lu connections\n"
	       "count %lu resized rings\ncount %lu words scribbled\n",
	       f->entries, f->doorbells, f->connects, f->resizes, f->scribbled);
	for (int i = 0; i < STATUSES; i++)
		if (f->status[i])
			printf("status %d: %lu\n", i, f->status[i]);
	return f->status[IBV_WC_SUCCESS] && f->status[IBV_WC_LOC_QP_OP_ERR] &&
	       f->status[IBV_WC_WR_FLUSH_ERR] && f->resizes;
}

int main(int argc, char **argv)
{
	struct fuzz f = { .rings = PTHREAD_MUTEX_INITIALIZER };
	struct ring rings[5];
	pthread_t thread;
	unsigned long entries;

	if (argc != 3)
		odp_die(0, "usage: rxe_rings_fuzz ENTRIES destroy|exit");
	entries = strtoul(argv[1], NULL, 0);
	odp_seed(f.rnd);
	odp_open(&f.o);
	rings_find(rings, 5);
	make_all(&f);
	if (pthread_create(&thread, NULL, scribble, &f))
		odp_die(errno, "pthread_create");
	while (f.entries < entries) {
		struct queue_pair *pair = f.pair[below(&f, PAIRS)];

		if (!below(&f, 20) || has_failed(&pair[0]) || has_failed(&pair[1]))
			change_state(&f, pair);
		f.ah_num = 1 + below(&f, 4);
		for (int i = 0; i < 4; i++)
			write_entries(&f, &pair[below(&f, 2)]);
		for (int i = 0; i < CQS; i++)
			poll(&f, i);
		if (!below(&f, 30))
			resize(&f);
	}
	atomic_store(&f.over, true);
	pthread_join(thread, NULL);
	if (!report(&f))
		return ODP_DEFECT;
	if (!strcmp(argv[2], "exit"))
		_exit(ODP_OK);
	return destroy_all(&f) ? ODP_OK : ODP_DEFECT;
}
