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
+	if (rxe_odp_holds_srq_wqe(qp))
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
