/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * Work requests that a process writes into rings that it has mapped. Each is copied once,
 * when its turn comes, then checked, and all work is done on the copy: what is in the ring
 * can change at any time, and so can the producer's index.
 */

#ifndef RXE_RING_H
#define RXE_RING_H

#include "rxe_charge.h"
#include "rxe_queue.h"

/*
 * Rust's (work_request.rs). Each copies what is behind a request, of which @theirs is in a
 * ring, as far as it is right, and tells what is wrong. @mask is rxe_wr_mask of its opcode;
 * 0 if there is no such.
 */
enum ib_wc_status rxe_ring_take_sent(u32 mask, bool in_line, u32 max_sge, u32 max_inline,
				     const struct rxe_dma_info *theirs,
				     struct rxe_dma_info *ours);
enum ib_wc_status rxe_ring_take_received(u32 max_sge, const struct rxe_dma_info *theirs,
					 struct rxe_dma_info *ours);

/* --- Send queues -------------------------------------------------------------------------- */

/* The memory that requests are copied to: a slot for each slot of the ring. */
static inline int rxe_ring_init(struct rxe_queue *q)
{
	/* The smallest slot has room for the word of an atomic write. */
	BUILD_BUG_ON(sizeof(struct rxe_send_wqe) + sizeof(u64) > 256 ||
		     sizeof(struct rxe_send_wqe) <= 128);

	q->copies = rxe_charge_ring(q->buf_size - sizeof(struct rxe_queue_buf));
	if (!q->copies)
		return -ENOMEM;
	q->slots = q->copies;
	return 0;
}

static inline const struct rxe_send_wqe *rxe_ring_slot(const struct rxe_queue *q, u32 index)
{
	return (const void *)(q->buf->data + ((size_t)index << q->log2_elem_size));
}

/* Whether the next slot of the ring is not that of a request that has not been completed. */
static inline bool rxe_ring_has_room(struct rxe_queue *q)
{
	return queue_next_index(q, q->taken) != q->index;
}

/* What the kernel keeps in a request, and its user does not set. */
static inline void rxe_ring_start(struct rxe_send_wqe *wqe, enum ib_wc_status status)
{
	wqe->status = status;
	wqe->state = wqe_state_posted;
	wqe->first_psn = 0;
	wqe->last_psn = 0;
	wqe->ack_length = 0;
	wqe->has_rd_atomic = 0;
}

/* The address of a datagram is behind what all others have. */
static inline void rxe_ring_copy_wr(struct rxe_qp *qp, const struct rxe_send_wr *theirs,
				    struct rxe_send_wr *ours)
{
	BUILD_BUG_ON(sizeof(ours->wr.mw) > sizeof(ours->wr.atomic) ||
		     sizeof(ours->wr.flush) > sizeof(ours->wr.atomic));

	if (qp_type(qp) == IB_QPT_UD)
		*ours = *theirs;
	else
		memcpy(ours, theirs,
		       offsetof(struct rxe_send_wr, wr) + sizeof(ours->wr.atomic));
	barrier();
}

static inline void rxe_ring_take_slot(struct rxe_qp *qp, struct rxe_queue *q, u32 index)
{
	const struct rxe_send_wqe *theirs = rxe_ring_slot(q, index);
	struct rxe_send_wqe *wqe = queue_addr_from_index(q, index);
	u32 mask;

	rxe_ring_copy_wr(qp, &theirs->wr, &wqe->wr);
	/* Who registers memory names the kernel's own object for it. */
	mask = wqe->wr.opcode == IB_WR_REG_MR ? 0 : wr_opcode_mask(wqe->wr.opcode, qp);
	rxe_ring_start(wqe, rxe_ring_take_sent(mask, wqe->wr.send_flags & IB_SEND_INLINE,
					       qp->sq.max_sge, qp->sq.max_inline,
					       &theirs->dma, &wqe->dma));
	wqe->mask = mask;
	wqe->ssn = atomic_add_return(1, &qp->ssn);
	/* It is the first of what each of these operations has. */
	wqe->iova = mask & (WR_ATOMIC_MASK | WR_READ_OR_WRITE_MASK | WR_FLUSH_MASK |
			    WR_ATOMIC_WRITE_MASK) ? wqe->wr.wr.rdma.remote_addr : 0;
}

/* Takes the next request, if there is one. The end of what was taken. */
static inline u32 rxe_ring_take(struct rxe_qp *qp, struct rxe_queue *q)
{
	if (!q->copies)
		return queue_get_producer(q, QUEUE_TYPE_FROM_CLIENT);
	/* Before what it says that is there. */
	if ((smp_load_acquire(&q->buf->producer_index) & q->index_mask) != q->taken &&
	    rxe_ring_has_room(q)) {
		rxe_ring_take_slot(qp, q, q->taken);
		q->taken = queue_next_index(q, q->taken);
	}
	return q->taken;
}

/* Takes, of all that is there now, what it takes to flush them: who they are. */
static inline __cold void rxe_ring_take_rest(struct rxe_queue *q)
{
	u32 end;

	if (!q->copies)
		return;
	/* Before what it says that is there. */
	end = smp_load_acquire(&q->buf->producer_index) & q->index_mask;
	while (q->taken != end && rxe_ring_has_room(q)) {
		struct rxe_send_wqe *wqe = queue_addr_from_index(q, q->taken);

		wqe->wr.wr_id = READ_ONCE(rxe_ring_slot(q, q->taken)->wr.wr_id);
		rxe_ring_start(wqe, IB_WC_SUCCESS);
		q->taken = queue_next_index(q, q->taken);
		cond_resched();
	}
}

/* Whether the check of @wqe has found something. */
static inline bool rxe_ring_is_wrong(const struct rxe_qp *qp, const struct rxe_send_wqe *wqe)
{
	return qp->is_user && wqe->status != IB_WC_SUCCESS;
}

/* --- Receive queues, and shared ones --------------------------------------------------------- */

/*
 * Takes the request @theirs for a message that has come. The next state. If it is wrong it
 * is what its completion is about.
 */
static inline enum resp_states rxe_ring_take_recv(struct rxe_qp *qp, const struct rxe_rq *rq,
						  const struct rxe_recv_wqe *theirs)
{
	struct rxe_recv_wqe *wqe = &qp->resp.srq_wqe.wqe;
	u32 max_sge = min_t(u32, rq->max_sge, RXE_MAX_SGE);

	wqe->wr_id = READ_ONCE(theirs->wr_id);
	qp->resp.wqe = wqe;
	if (rxe_ring_take_received(max_sge, &theirs->dma, &wqe->dma) != IB_WC_SUCCESS)
		return RESPST_ERR_MALFORMED_WQE;
	return RESPST_CHK_LENGTH;
}

#endif /* RXE_RING_H */
