/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A queue pair and its peer whose requests are written into their rings: right ones, to be
 * changed by who has them written.
 */
#ifndef RING_PAIR_H
#define RING_PAIR_H

#include "odp.h"
#include "rings.h"

#define RING_PAGES	4U	/* of memory */
#define RING_SMALL	64U	/* bytes of a message, all of which can be in its request */
#define RING_SOON_S	20.0

enum { RING_CQ, RING_SQ, RING_RQ, RING_PEER_SQ, RING_PEER_RQ, RING_COUNT };

struct ring_pair {
	struct odp o;
	struct ring ring[RING_COUNT];
	struct ibv_mr *mr;
	unsigned char *memory;
	double slow;
};

void ring_pair_open(struct ring_pair *t);
void ring_pair_close(struct ring_pair *t);

unsigned char *ring_page(struct ring_pair *t, unsigned int number);
struct rxe_sge ring_sge(struct ring_pair *t, void *addr, uint32_t length);

/* Writes a right request into the next slot: a message out of page 0. */
struct rxe_send_wqe *ring_next_send(struct ring_pair *t, uint64_t id);

/* Its data is in the request. */
void ring_make_inline(struct rxe_send_wqe *wqe, int byte);

/* It is posted. */
void ring_send(struct ring_pair *t);

/* The same for the peer, into page 1; the second posts it. */
struct rxe_recv_wqe *ring_next_receive(struct ring_pair *t, uint64_t id);
void ring_receive(struct ring_pair *t, uint64_t id);

/* Whether there is a completion of that queue pair soon. Others are dropped. */
bool ring_completed(struct ring_pair *t, struct ibv_qp *qp, struct ibv_wc *wc, double s);

/* The line of a case, whose completion is to be that. */
void ring_result(const char *what, bool is, const struct ibv_wc *wc, uint64_t id,
		 enum ibv_wc_status status);

#endif
