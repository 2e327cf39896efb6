// SPDX-License-Identifier: GPL-2.0
//
// Memory that is not ready is no error of the peer's, and everything is left as it was
// before he came. Where it will be, -EINPROGRESS, the queue pair has parked: his packet
// stays at the head of the queue, and is looked at again. Where it may never be, -EAGAIN,
// he is told to come again later (RNR).

// A request that comes again has its receive request already.
@srq_wqe_held@
@@
 get_srq_wqe(...)
 {
 	...
+	if (rxe_odp_holds_recv_wqe(qp))
+		return RESPST_CHK_LENGTH;
+
 	if (srq->error)
 		return RESPST_ERR_RNR;
 	...
 }

@send_not_ready@
@@
 send_data_in(...)
 {
 	...
-	err = copy_data(qp->pd, IB_ACCESS_LOCAL_WRITE, &qp->resp.wqe->dma, data_addr,
-			data_len, RXE_TO_MR_OBJ);
+	err = copy_data(qp->pd, IB_ACCESS_LOCAL_WRITE, &qp->resp.wqe->dma, data_addr,
+			data_len, RXE_TO_MR_OBJ, &qp->resp_wait);
+	if (rxe_odp_is_not_ready(err))
+		return rxe_odp_not_ready(qp, err);
 	...
 }

@write_not_ready@
@@
 write_data_in(...)
 {
 	...
 	err = rxe_mr_copy(qp->resp.mr, qp->resp.va + qp->resp.offset, payload_addr(pkt),
 			  data_len, RXE_TO_MR_OBJ
+			  , &qp->resp_wait
 			  );
+	if (rxe_odp_is_not_ready(err))
+		return rxe_odp_not_ready(qp, err);
 	...
 }

@flush_start@
@@
 process_flush(...)
 {
 	...
 	struct resp_res *res = qp->resp.res;
+	int err;
 	... when any
 }

@flush_not_ready@
@@
 process_flush(...)
 {
 	<+...
-	if (rxe_flush_pmem_iova(mr, start, length))
+	err = rxe_flush_pmem_iova(mr, start, length, &qp->resp_wait);
+	if (rxe_odp_is_not_ready(err))
+		return rxe_odp_not_done(qp, res, rxe_odp_not_ready(qp, err));
+	if (err)
 		return get_rkey_violation_state(pkt);
 	...+>
 }

@atomic_wait@
@@
 atomic_reply(...)
 {
 	<+...
 	rxe_odp_atomic_op(...,
 			  &res->atomic.orig_val
+			  , &qp->resp_wait
 			  )
 	...+>
 }

@atomic_write_wait@
@@
 atomic_write_reply(...)
 {
 	<+...
 	rxe_odp_do_atomic_write(mr, iova, value
+				, &qp->resp_wait
 				)
 	...+>
 }

@atomic_not_ready@
@@
 atomic_reply(...)
 {
 	<+...
 	if (err)
-		return err;
+		return rxe_odp_not_done(qp, res, err);
 	...+>
 }

@atomic_write_not_ready@
@@
 atomic_write_reply(...)
 {
 	<+...
 	if (err)
-		return err;
+		return rxe_odp_not_done(qp, res, err);
 	...+>
 }

@read_not_ready@
@@
 read_reply(...)
 {
 	<+...
 	err = rxe_mr_copy(mr, res->read.va, payload_addr(&ack_pkt), payload, RXE_FROM_MR_OBJ
+			  , &qp->resp_wait
 			  );
 	if (err) {
 		kfree_skb(skb);
 		state =
-			RESPST_ERR_RKEY_VIOLATION
+			rxe_odp_read_failed(qp, res, opcode, err)
 			;
 		goto err_out;
 	}
 	...+>
 }

@include_ring@
@@
 #include "rxe_queue.h"
+#include "rxe_ring.h"

// One that is wrong has been taken too: with it, each queue pair of the SRQ would fail.
@take_from_srq@
@@
 get_srq_wqe(...)
 {
 	...
-	unsigned int num_sge;
-	size_t size;
+	enum resp_states state;
 	... when any
-	num_sge = wqe->dma.num_sge;
-	if (unlikely(num_sge > srq->rq.max_sge)) { ... }
-	size = ...;
-	memcpy(&qp->resp.srq_wqe, wqe, size);
-	qp->resp.wqe = &qp->resp.srq_wqe.wqe;
+	state = rxe_ring_take_recv(qp, &srq->rq, wqe);
 	queue_advance_consumer(q, QUEUE_TYPE_FROM_CLIENT);
 	... when any
 }

@taken_from_srq@
@@
 get_srq_wqe(...)
 {
 	<+...
 	spin_unlock_irqrestore(&srq->rq.consumer_lock, flags);
-	return RESPST_CHK_LENGTH;
+	return state;
 	...+>
 }

@srq_event@
@@
 get_srq_wqe(...)
 {
 	<+...
 	srq->ibsrq.event_handler(&ev, srq->ibsrq.srq_context);
-	return RESPST_CHK_LENGTH;
+	return state;
 	...+>
 }

// It stays in the ring until it is completed. A packet that is looked at again has it.
@take_from_ring@
@@
 rxe_get_recv_wqe(...)
 {
 	...
-	unsigned int num_sge;
-	size_t size;
+
+	if (rxe_odp_holds_recv_wqe(qp))
+		return RESPST_CHK_LENGTH;
+
 	wqe = queue_head(q, QUEUE_TYPE_FROM_CLIENT);
 	if (!wqe)
 		return RESPST_ERR_RNR;
-	num_sge = wqe->dma.num_sge;
-	if (unlikely(num_sge > qp->rq.max_sge)) { ... }
-	size = ...;
-	memcpy(&qp->resp.srq_wqe, wqe, size);
-	qp->resp.wqe = &qp->resp.srq_wqe.wqe;
-	return RESPST_CHK_LENGTH;
+	return rxe_ring_take_recv(qp, &qp->rq, wqe);
 }

// As many as there are when it begins.
@flush_what_is_there@
@@
 flush_recv_queue(...)
 {
 	...
 	struct rxe_recv_wqe *wqe;
+	u32 left;
 	... when any
-	while ((wqe = queue_head(q, q->type))) {
+	for (left = queue_count(q, q->type); left; left--) {
+		wqe = queue_consumer_addr(q, q->type);
 		...
 		queue_advance_consumer(q, q->type);
+		cond_resched();
 	}
 	... when any
 }

// A peer who may have no resources at all must not be given one for a FLUSH.
@flush_resource@
@@
 check_resource(...)
 {
 	<+...
 	pkt->mask & (RXE_READ_OR_ATOMIC_MASK | RXE_ATOMIC_WRITE_MASK
+		     | RXE_FLUSH_MASK
 		    )
 	...+>
 }

// A FLUSH that is sent again is found by its PSN.
@flush_psn@
@@
 rxe_prepare_res(...)
 {
 	<+...
 	res->flush.level = feth_sel(pkt);
+	res->first_psn = pkt->psn;
+	res->last_psn = pkt->psn;
+	res->cur_psn = pkt->psn;
 	...+>
 }

// A receive request that was taken for a message which had to wait is accounted for.
@flush_held_wqe@
@@
 flush_recv_queue(...)
 {
 	<+...
 	if (qp->srq) {
+		if (qp->resp.wqe && notify)
+			flush_recv_wqe(qp, qp->resp.wqe);
+		qp->resp.wqe = NULL;
 		...
 	}
 	...+>
 }

// The next message of UC starts anew, with an SRQ too.
@class_e_opcode@
@@
 do_class_d1e_error(...)
 {
 	<+...
 	qp->resp.drop_msg = 1;
+	qp->resp.opcode = -1;
 	...+>
 }

// And without one: the message before, of which a packet was lost, may have been a WRITE.
// What has come instead of its next packet is the first one of another message.
@class_d1_opcode@
@@
 do_class_d1e_error(...)
 {
 	<+...
 	if (qp->resp.wqe) {
 		...
-		qp->resp.opcode = -1;
 	}
+	qp->resp.opcode = -1;
 	...+>
 }

@class_d1_start@
@@
 rxe_receiver(...)
 {
 	<+...
 	state = do_class_d1e_error(qp);
+	if (state == RESPST_CLEANUP && !qp->srq && pkt->mask & RXE_START_MASK)
+		state = RESPST_CHK_OP_SEQ;
 	...+>
 }

// Called with interrupts off, in which pages of a network driver's pool cannot be given back.
@drain@
@@
 drain_req_pkts(...)
 {
 	<+...
-	kfree_skb(skb);
+	dev_kfree_skb_any(skb);
 	...+>
 }

// A queue pair that is about to go, or to begin anew, has parked for nothing, and has no
// more use for what the packet before was for.
@drain_parked@
@@
 rxe_receiver(...)
 {
 	<+...
 	flush_recv_queue(qp, notify);
 	spin_unlock_irqrestore(&qp->state_lock, flags);
+	rxe_odp_leave_receiver(qp);
 	goto exit;
 	...+>
 }

// A ring can be long: not under a lock. The task is the only one to take from it.
@flush_without_lock@
@@
 rxe_receiver(...)
 {
 	<+...
-	flush_recv_queue(qp, notify);
 	spin_unlock_irqrestore(&qp->state_lock, flags);
+	flush_recv_queue(qp, notify);
 	...+>
 }

// What a READ that is answered again is of tells whether it has an MR, not what was asked
// for last.
@replayed_read_length@
@@
 read_reply(...)
 {
 	<+...
-	qp->resp.length == 0
+	res->read.length == 0
 	...+>
 }

// --- What a peer may reach (reach.rs) ------------------------------------------------------

@reach_variables@
@@
 check_rkey(...)
 {
 	...
-	struct rxe_mw *mw = NULL;
-	u64 va;
-	u32 rkey;
 	...
-	int access = 0;
+	enum rxe_reach_answer answer;
 	... when any
 }

@reach_headers@
statement S1, S2;
@@
-	if (pkt->mask & (RXE_READ_OR_WRITE_MASK | RXE_ATOMIC_WRITE_MASK)) S1 else S2
+	if (pkt->mask & RXE_RETH_MASK)
+		qp_resp_from_reth(qp, pkt);
+	else if (pkt->mask & RXE_ATOMIC_MASK)
+		qp_resp_from_atmeth(qp, pkt);

// The key of a WRITE of nothing is not asked for (C9-88), so nothing may come with it.
@reach_nothing@
expression E;
@@
 	if (E) {
+		if (pkt->mask & RXE_WRITE_MASK && payload_size(pkt))
+			return RESPST_ERR_LENGTH;
 		qp->resp.mr = NULL;
 		return RESPST_EXECUTE;
 	}

@reach_decision@
statement S1, S2;
@@
-	va = qp->resp.va;
-	rkey = qp->resp.rkey;
 	resid = qp->resp.resid;
 	pktlen = payload_size(pkt);
-	if (rkey_is_mw(rkey)) S1 else S2
+	answer = rxe_reach_packet(qp, pkt, &mr);
+	if (answer != RXE_REACH_ALLOWED) {
+		state = answer == RXE_REACH_MISALIGNED ? RESPST_ERR_MISALIGNED_ATOMIC :
+							 get_rkey_violation_state(pkt);
+		goto err;
+	}

@reach_no_flush_range@
@@
-	if (pkt->mask & RXE_FLUSH_MASK) {
-		if (feth_sel(pkt) == IB_FLUSH_MR)
-			goto skip_check_range;
-	}

@reach_no_range@
statement S;
@@
-	if (mr_check_range(mr, va + qp->resp.offset, resid)) S
-skip_check_range:

@reach_error@
@@
-	if (mw) rxe_put(mw);

// Nothing is left of what the record was for before. All of a READ's is written below.
@record_cleared@
@@
 	free_rd_atomic_resource(res);
+	if (type != RXE_READ_MASK)
+		memset(res, 0, sizeof(*res));

// A READ is known by the addresses that the peer uses, where its window is now.
@record_of_read@
@@
-	res->read.va = qp->resp.va + qp->resp.offset;
-	res->read.va_org = qp->resp.va + qp->resp.offset;
+	res->read.va = qp->resp.va;
+	res->read.va_org = qp->resp.va;

// A FLUSH of all that the key is of: of a window, that is not all of the region.
@flush_reach@
statement S1, S2;
@@
-	if (res->flush.level == IB_FLUSH_RANGE) S1 else S2
+	start = qp->reach.start;
+	length = qp->reach.length;

@read_reach@
@@
-	rxe_recheck_mr(qp, res->read.rkey)
+	rxe_reach_read(qp, res)

@read_bytes@
@@
 read_reply(...)
 {
 	<+...
 	rxe_mr_copy(mr,
-		    res->read.va
+		    qp->reach.start
 		    , ...)
 	...+>
 }

@no_recheck@
@@
-static struct rxe_mr *rxe_recheck_mr(struct rxe_qp *qp, u32 rkey)
-{
-	...
-}

// A duplicate is answered by the record of its own kind, or not at all.
@find_record@
@@
-	find_resource(qp, pkt->psn)
+	rxe_reach_find_record(qp, pkt)

@no_find_resource@
@@
-static struct resp_res *find_resource(struct rxe_qp *qp, u32 psn)
-{
-	...
-}

@duplicate_read@
expression E1, E2;
statement S;
@@
-	if (iova < res->read.va_org || E1 || E2) S

@duplicate_key@
statement S;
@@
-	if (reth_rkey(pkt) != res->read.rkey) S

// What it was of stays known, for one that comes again from its beginning.
@duplicate_keeps_record@
@@
-	res->read.va_org = iova;

@queue_request@
@@
 rxe_resp_queue_pkt(...)
 {
-	skb_queue_tail(&qp->req_pkts, skb);
-	rxe_sched_task(&qp->recv_task);
+	rxe_odp_queue_packet(qp, &qp->req_pkts, &qp->recv_task, &qp->resp_wait, skb);
 }
