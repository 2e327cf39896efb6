// SPDX-License-Identifier: GPL-2.0
/* A queue pair whose requests are written into its ring, see ring_pair.h */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cases.h"
#include "patience.h"
#include "ring_pair.h"

#define LEN	(RING_PAGES * ODP_PAGE)

void ring_pair_open(struct ring_pair *t)
{
	*t = (struct ring_pair){ .slow = odp_env("ODP_SLOW", 1) };
	odp_open(&t->o);
	rings_find(t->ring, RING_COUNT);
	t->memory = odp_map(LEN);
	t->mr = odp_reg(&t->o, t->memory, LEN, ODP_RW | IBV_ACCESS_REMOTE_ATOMIC);
}

void ring_pair_close(struct ring_pair *t)
{
	ibv_dereg_mr(t->mr);
	odp_close(&t->o);
}

unsigned char *ring_page(struct ring_pair *t, unsigned int number)
{
	return t->memory + number * ODP_PAGE;
}

struct rxe_sge ring_sge(struct ring_pair *t, void *addr, uint32_t length)
{
	return (struct rxe_sge){ (uintptr_t)addr, length, t->mr->lkey };
}

struct rxe_send_wqe *ring_next_send(struct ring_pair *t, uint64_t id)
{
	struct rxe_send_wqe *wqe = ring_slot(&t->ring[RING_SQ], ring_producer(&t->ring[RING_SQ]));

	memset(wqe, 0, sizeof(*wqe) + RING_SMALL);
	wqe->wr.wr_id = id;
	wqe->wr.opcode = IBV_WR_SEND;
	wqe->wr.send_flags = IBV_SEND_SIGNALED;
	wqe->dma.length = RING_SMALL;
	wqe->dma.resid = RING_SMALL;
	wqe->dma.num_sge = 1;
	wqe->dma.sge[0] = ring_sge(t, ring_page(t, 0), RING_SMALL);
	return wqe;
}

void ring_make_inline(struct rxe_send_wqe *wqe, int byte)
{
	wqe->wr.send_flags |= IBV_SEND_INLINE;
	wqe->dma.num_sge = 0;
	memset(wqe->dma.inline_data, byte, RING_SMALL);
}

void ring_send(struct ring_pair *t)
{
	int err;

	ring_push(&t->ring[RING_SQ]);
	err = ring_doorbell(t->o.qp);
	if (err)
		odp_die(err, "doorbell");
}

struct rxe_recv_wqe *ring_next_receive(struct ring_pair *t, uint64_t id)
{
	struct rxe_recv_wqe *wqe = ring_slot(&t->ring[RING_PEER_RQ],
					     ring_producer(&t->ring[RING_PEER_RQ]));

	memset(wqe, 0, sizeof(*wqe));
	wqe->wr_id = id;
	wqe->dma.length = ODP_PAGE;
	wqe->dma.resid = ODP_PAGE;
	wqe->dma.num_sge = 1;
	wqe->dma.sge[0] = ring_sge(t, ring_page(t, 1), ODP_PAGE);
	return wqe;
}

void ring_receive(struct ring_pair *t, uint64_t id)
{
	ring_next_receive(t, id);
	ring_push(&t->ring[RING_PEER_RQ]);
}

bool ring_completed(struct ring_pair *t, struct ibv_qp *qp, struct ibv_wc *wc, double s)
{
	const double end = patience_seconds() + s * t->slow;

	do {
		while (ibv_poll_cq(t->o.cq, 1, wc) > 0)
			if (wc->qp_num == qp->qp_num)
				return true;
		usleep(1000);
	} while (patience_seconds() < end);
	return false;
}

void ring_result(const char *what, bool is, const struct ibv_wc *wc, uint64_t id,
		 enum ibv_wc_status status)
{
	char text[100] = "no completion";

	if (is)
		snprintf(text, sizeof(text), "%s, of request %lu", ibv_wc_status_str(wc->status),
			 (unsigned long)wc->wr_id);
	result_is(is && wc->wr_id == id && wc->status == status, what, text);
}
