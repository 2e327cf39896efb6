// SPDX-License-Identifier: GPL-2.0
/*
 * A process writes into the rings that it shares with rxe what libibverbs would not: into a
 * request when the kernel has taken it, what the kernel has to know by itself, and indices
 * that lie. Cases.
 */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/cases.h"
#include "lib/patience.h"
#include "lib/qp.h"
#include "lib/ring_pair.h"

#define TAKEN_US	200000	/* for the kernel to take a request */
#define NEVER_S		0.5	/* for what is not to happen */
#define TIMER		19	/* 4.096 us * 2^19: 2.1 s */
#define TIMER_US	2500000	/* it has run out once, and the next is after READY_S */
#define READY_S		1.0
#define MOVES_S		0.4
#define MOVES		10
#define FLUSHES		4
#define LONG_SENDS	((1 << 17) - 1)	/* requests in a queue */
#define LONG_RECEIVES	((1 << 19) - 1)	/* they take less */

/* --- what the kernel has taken, or has to know by itself ------------------------------- */

static void modify(struct ibv_qp *qp, struct ibv_qp_attr attr, int mask)
{
	int err = ibv_modify_qp(qp, &attr, mask | IBV_QP_STATE);

	if (err)
		odp_die(err, "ibv_modify_qp to state %d", attr.qp_state);
}

static void id_changes(struct ring_pair *t)
{
	struct rxe_send_wqe *wqe = ring_next_send(t, 1);
	struct ibv_wc wc;
	bool is;

	ring_send(t);
	usleep(TAKEN_US * t->slow);
	wqe->wr.wr_id = 2;
	ring_receive(t, 3);
	is = ring_completed(t, t->o.qp, &wc, RING_SOON_S);
	ring_result("the number of a request that is under way changes", is, &wc, 1,
		    IBV_WC_SUCCESS);
}

/* The peer is not there to answer. */
static void state_changes(struct ring_pair *t)
{
	struct rxe_send_wqe *wqe = ring_next_send(t, 1);
	struct ibv_wc wc;

	modify(t->o.peer, (struct ibv_qp_attr){ .qp_state = IBV_QPS_RESET }, 0);
	ring_send(t);
	usleep(TAKEN_US * t->slow);
	wqe->state = 3;	/* done */
	ring_doorbell(t->o.qp);
	result_is(!ring_completed(t, t->o.qp, &wc, NEVER_S),
		  "a request that nobody has received says that it is done",
		  "whether it has no completion");
}

/* From INIT on. */
static void make_ready(struct ring_pair *t, struct ibv_qp *qp, uint32_t peer)
{
	modify(qp, (struct ibv_qp_attr){
		.qp_state = IBV_QPS_RTR,
		.path_mtu = t->o.mtu,
		.dest_qp_num = peer,
		.ah_attr = {
			.is_global = 1,
			.port_num = 1,
			.grh = { t->o.gid, 0, t->o.gid_index, 1, 0 },
		},
	}, IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
	   IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER);
	modify(qp, (struct ibv_qp_attr){ .qp_state = IBV_QPS_RTS, .retry_cnt = 7 },
	       IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
	       IBV_QP_MAX_QP_RD_ATOMIC);
}

/*
 * A timer of the connection before, to a peer that was not there, has the task run. What
 * stock then begins is not sent, but again when the timer has run out once more.
 */
static void is_not_ready(struct ring_pair *t)
{
	struct ibv_qp *qp = t->o.qp, *peer = t->o.peer;
	struct ibv_wc wc;
	bool is;

	t->o.ack_timeout = TIMER;
	odp_connect(&t->o);
	modify(peer, (struct ibv_qp_attr){ .qp_state = IBV_QPS_RESET }, 0);
	ring_next_send(t, 1);
	ring_send(t);
	usleep(TAKEN_US);
	modify(qp, (struct ibv_qp_attr){ .qp_state = IBV_QPS_RESET }, 0);
	modify(qp, (struct ibv_qp_attr){ .qp_state = IBV_QPS_INIT, .port_num = 1 },
	       IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
	ring_next_send(t, 2);
	ring_push(&t->ring[RING_SQ]);
	usleep(TIMER_US);
	t->o.ack_timeout = 0;

	odp_connect_to(&t->o, peer, qp->qp_num);
	ring_receive(t, 3);
	make_ready(t, qp, peer->qp_num);
	ring_doorbell(qp);
	is = ring_completed(t, qp, &wc, READY_S);
	ring_result("a request is there before its queue pair is ready", is, &wc, 2,
		    IBV_WC_SUCCESS);
}

static void data_is_elsewhere(struct ring_pair *t)
{
	struct rxe_send_wqe *wqe = ring_next_send(t, 1);
	struct ring *sq = &t->ring[RING_SQ];
	struct rxe_send_wqe *other = ring_slot(sq, ring_producer(sq) + 1);
	struct ibv_wc wc;
	bool is;

	/* Stock is not to leave the ring. */
	if (other < wqe)
		odp_die(0, "the next request is before this one");
	memset(other, 0xee, sizeof(*other));
	ring_make_inline(wqe, 0x11);
	wqe->dma.sge_offset = (unsigned char *)other - wqe->dma.inline_data;
	ring_receive(t, 3);
	ring_send(t);
	is = ring_completed(t, t->o.peer, &wc, RING_SOON_S);
	result_is(is && wc.status == IBV_WC_SUCCESS && ring_page(t, 1)[0] == 0x11,
		  "a request says that its data is in another one", "whether its own is sent");
}

static void more_is_left(struct ring_pair *t)
{
	struct rxe_send_wqe *wqe = ring_next_send(t, 1);
	struct ibv_wc wc;
	bool is;

	ring_make_inline(wqe, 0x11);
	wqe->dma.resid = 8 * RING_SMALL;
	ring_receive(t, 3);
	ring_send(t);
	is = ring_completed(t, t->o.peer, &wc, RING_SOON_S);
	result_is(is && wc.status == IBV_WC_SUCCESS && wc.byte_len == RING_SMALL,
		  "a request says that more is left than there is", "whether so much is sent");
}

/* A message before has left its list behind where the next one points to. */
static void list_begins_later(struct ring_pair *t)
{
	struct rxe_recv_wqe *wqe = ring_next_receive(t, 1);
	struct ibv_wc wc;
	bool is;

	wqe->dma.num_sge = 2;
	wqe->dma.sge[0] = ring_sge(t, ring_page(t, 1), ODP_PAGE / 2);
	wqe->dma.sge[1] = ring_sge(t, ring_page(t, 2), ODP_PAGE / 2);
	ring_push(&t->ring[RING_PEER_RQ]);
	ring_next_send(t, 1);
	ring_send(t);
	if (!ring_completed(t, t->o.peer, &wc, RING_SOON_S))
		odp_die(0, "no message");

	memset(ring_page(t, 0), 0x22, RING_SMALL);
	memset(ring_page(t, 2), 0, RING_SMALL);
	wqe = ring_next_receive(t, 2);
	wqe->dma.cur_sge = 1;
	ring_push(&t->ring[RING_PEER_RQ]);
	ring_next_send(t, 2);
	ring_send(t);
	is = ring_completed(t, t->o.peer, &wc, RING_SOON_S);
	result_is(is && !wc.status && ring_page(t, 1)[0] == 0x22 && !ring_page(t, 2)[0],
		  "a receive request begins behind the end of its list",
		  "whether the message is in its own memory");
}

static void receive_is_wrong(struct ring_pair *t)
{
	struct rxe_recv_wqe *wqe = ring_next_receive(t, 7);
	struct ibv_wc wc;
	bool is;

	wqe->dma.num_sge = 100;
	ring_push(&t->ring[RING_PEER_RQ]);
	ring_next_send(t, 1);
	ring_send(t);
	is = ring_completed(t, t->o.peer, &wc, RING_SOON_S);
	ring_result("a receive request has a list that is too long", is, &wc, 7,
		    IBV_WC_LOC_QP_OP_ERR);
}

/* --- a shared receive queue -------------------------------------------------------------- */

static enum ibv_wc_status send_over(struct ring_pair *t, struct odp *pair)
{
	struct ibv_sge sge = { (uintptr_t)ring_page(t, 0), RING_SMALL, t->mr->lkey };
	struct ibv_send_wr wr = {
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = IBV_WR_SEND,
		.send_flags = IBV_SEND_SIGNALED,
	};
	struct ibv_wc wc;

	odp_post(pair, &wr);
	do
		wc = odp_wait_wc(pair);
	while (wc.qp_num != pair->qp->qp_num);
	return wc.status;
}

static void srq_is_wrong(struct ring_pair *t)
{
	const char *what = "a wrong request in a shared queue fails one queue pair";
	struct ibv_srq_init_attr init = { .attr = { .max_wr = 15, .max_sge = 1 } };
	struct ibv_srq *srq = ibv_create_srq(t->o.pd, &init);
	struct odp pair[2];
	struct ring ring, pairs[5];
	struct rxe_recv_wqe *wqe;

	if (!srq)
		odp_die(errno, "ibv_create_srq");
	rings_find(&ring, 1);
	for (int i = 0; i < 2; i++) {
		qp_open(&pair[i], &t->o, (struct qp_options){ IBV_QPT_RC, 1, 0, srq });
		rings_find(pairs, 4);
		wqe = ring_slot(&ring, i);
		memset(wqe, 0, sizeof(*wqe));
		wqe->dma.num_sge = i ? 1 : 100;
		wqe->dma.length = ODP_PAGE;
		wqe->dma.resid = ODP_PAGE;
		wqe->dma.sge[0] = ring_sge(t, ring_page(t, 1), ODP_PAGE);
		ring_push(&ring);
	}
	result_status("a wrong request in a shared queue, its message",
		      send_over(t, &pair[0]), IBV_WC_REM_OP_ERR);
	result_status(what, send_over(t, &pair[1]), IBV_WC_SUCCESS);
	for (int i = 0; i < 2; i++)
		qp_close(&pair[i]);
	ibv_destroy_srq(srq);
}

static void length_is_written(struct ring_pair *t)
{
	struct ibv_srq_init_attr init = { .attr = { .max_wr = 15, .max_sge = 1 } };
	struct ibv_srq *srq = ibv_create_srq(t->o.pd, &init);
	struct ibv_srq_attr attr = {};
	struct ring ring;

	if (!srq)
		odp_die(errno, "ibv_create_srq");
	rings_find(&ring, 1);
	ring.buf->index_mask = 5;
	if (ibv_query_srq(srq, &attr))
		odp_die(errno, "ibv_query_srq");
	ring.buf->index_mask = ring.mask;
	result_is(attr.max_wr == ring.mask, "a shared queue says how long it is",
		  "whether the kernel knows better");
	ibv_destroy_srq(srq);
}

/* --- indices -------------------------------------------------------------------------- */

static void index_is_beyond(struct ring_pair *t)
{
	struct ring *sq = &t->ring[RING_SQ];
	unsigned int count = 0;
	struct ibv_wc wc;
	char text[40];

	/* Each slot has one, but only one is posted: WRITEs of nothing. */
	for (uint32_t i = 0; i <= sq->mask; i++) {
		struct rxe_send_wqe *wqe = ring_slot(sq, i);

		memset(wqe, 0, sizeof(*wqe));
		wqe->wr.opcode = IBV_WR_RDMA_WRITE;
		wqe->wr.send_flags = IBV_SEND_SIGNALED;
	}
	ring_set_producer(sq, ((ring_producer(sq) + 1) & sq->mask) + 4 * (sq->mask + 1));
	ring_doorbell(t->o.qp);
	while (count < 1000 && ring_completed(t, t->o.qp, &wc, count ? NEVER_S : RING_SOON_S))
		count++;
	ring_set_producer(sq, ring_producer(sq) & sq->mask);
	snprintf(text, sizeof(text), "%u", count);
	result_is(count == 1, "the index is beyond the ring: completions of one request", text);
}

struct mover {
	struct ring ring;
	double s;
	unsigned long moved;
};

/* Writes that the ring is full, for as long as that is: how much the kernel takes of it. */
static void *move(void *argument)
{
	struct mover *m = argument;
	uint32_t mask = m->ring.mask, at = ring_consumer(&m->ring);
	const double end = patience_seconds() + m->s;

	while (patience_seconds() < end)
		for (int i = 0; i < 1000; i++) {
			uint32_t now = ring_consumer(&m->ring);

			m->moved += (now - at) & mask;
			at = now;
			ring_set_producer(&m->ring, (at - 1) & mask);
		}
	return NULL;
}

/* A long queue, so that the kernel is still at it when the index moves. */
static struct ibv_qp *long_qp(struct ring_pair *t, uint32_t sends, uint32_t receives,
			      struct ring rings[2])
{
	struct ibv_qp_init_attr init = {
		.qp_type = IBV_QPT_RC,
		.send_cq = t->o.cq,
		.recv_cq = t->o.cq,
		.cap = { sends, receives, 1, 1, 0 },
	};
	struct ibv_qp *qp = ibv_create_qp(t->o.pd, &init);

	if (!qp)
		odp_die(errno, "ibv_create_qp");
	rings_find(rings, 2);
	modify(qp, (struct ibv_qp_attr){ .qp_state = IBV_QPS_INIT, .port_num = 1 },
	       IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
	return qp;
}

/* How much more than its length the kernel takes of a failed queue. */
static double moved(struct ring_pair *t, uint32_t sends, uint32_t receives)
{
	struct mover m = { .s = MOVES_S * t->slow };
	struct ring rings[2];
	struct ibv_qp *qp = long_qp(t, sends, receives, rings);
	pthread_t thread;

	m.ring = rings[receives > sends];
	if (pthread_create(&thread, NULL, move, &m))
		odp_die(errno, "pthread_create");
	usleep(10000);
	modify(qp, (struct ibv_qp_attr){ .qp_state = IBV_QPS_ERR }, 0);
	ring_doorbell(qp);
	pthread_join(thread, NULL);
	ring_set_producer(&m.ring, ring_consumer(&m.ring));
	ibv_destroy_qp(qp);
	return (double)m.moved / m.ring.mask;
}

/* Some flushes, each of what was there: of who fails, and of the doorbell. */
static void index_moves(struct ring_pair *t, uint32_t sends, uint32_t receives,
			const char *what)
{
	double times = 0;
	char text[40];

	/* Not each time the other thread is there in time, on a busy machine. */
	for (int i = 0; i < MOVES && times <= FLUSHES; i++)
		times = moved(t, sends, receives);
	snprintf(text, sizeof(text), "%.1f times its length", times);
	result_is(times > 0 && times <= FLUSHES, what, text);
}

static void send_index_moves(struct ring_pair *t)
{
	index_moves(t, LONG_SENDS, 1, "requests of a failed send queue, without end");
}

static void receive_index_moves(struct ring_pair *t)
{
	index_moves(t, 1, LONG_RECEIVES, "requests of a failed receive queue, without end");
}

/* The first wants a timer that is its own: those of others last 17 s. */
static void (* const cases[])(struct ring_pair *t) = {
	is_not_ready, id_changes, state_changes, data_is_elsewhere, more_is_left, list_begins_later,
	receive_is_wrong, srq_is_wrong, length_is_written, send_index_moves,
	receive_index_moves, index_is_beyond,
};

int main(void)
{
	struct ring_pair t;

	ring_pair_open(&t);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		odp_connect(&t.o);
		cases[i](&t);
	}
	ring_pair_close(&t);
	return ODP_OK;
}
