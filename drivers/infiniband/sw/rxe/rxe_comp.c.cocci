// SPDX-License-Identifier: GPL-2.0

// The responder has done its part, and will not do it again: park, and take the response
// up again when the memory is there.
@read_not_ready@
@@
 do_read(...)
 {
 	<+...
-	ret = copy_data(qp->pd, IB_ACCESS_LOCAL_WRITE, &wqe->dma, payload_addr(pkt),
-			payload_size(pkt), RXE_TO_MR_OBJ);
+	ret = rxe_odp_copy_to_local(qp, &wqe->dma, payload_addr(pkt), payload_size(pkt));
+	if (ret == -EINPROGRESS)
+		return COMPST_EXIT;
 	...+>
 }

@atomic_not_ready@
@@
 do_atomic(...)
 {
 	<+...
-	ret = copy_data(...);
+	ret = rxe_odp_copy_to_local(qp, &wqe->dma, &atomic_orig, sizeof(atomic_orig));
+	if (ret == -EINPROGRESS)
+		return COMPST_EXIT;
 	...+>
 }

@keep_response@
@@
 rxe_completer(...)
 {
 	<+...
-	if (pkt)
+	if (pkt && !rxe_odp_keep_response(qp, skb))
 		free_pkt(pkt);
 	...+>
 }

// A queue pair that is about to go, or to begin anew, has parked for nothing.
@drain_parked@
@@
 rxe_completer(...)
 {
 	<+...
 	flush_send_queue(qp, notify);
 	spin_unlock_irqrestore(&qp->state_lock, flags);
+	rxe_odp_leave_sender(qp);
 	goto exit;
 	...+>
 }

// Who waited in vain, because his queue pair goes, did nothing wrong.
@read_status@
@@
 do_read(...)
 {
 	<+...
 	wqe->status =
-		IB_WC_LOC_PROT_ERR
+		rxe_odp_copy_status(ret)
 		;
 	...+>
 }

@atomic_status@
@@
 do_atomic(...)
 {
 	<+...
 	wqe->status =
-		IB_WC_LOC_PROT_ERR
+		rxe_odp_copy_status(ret)
 		;
 	...+>
 }

// A request that failed here, for memory that cannot be had, is not one that was flushed.
@flush_status@
@@
 flush_send_wqe(...)
 {
 	<+...
-	IB_WC_WR_FLUSH_ERR
+	rxe_odp_flush_status(wqe)
 	...+>
 }

// A late acknowledgement of a WRITE has none of the data that a READ or an atomic waits for.
// It may also be one of a request that is being sent again, and all of which had arrived.
@ack_without_data@
@@
 check_ack(...)
 {
 	<+...
+	if (wqe->mask & WR_ATOMIC_OR_READ_MASK)
+		return COMPST_DONE;
 	reset_retry_counters(qp);
+	if (rxe_odp_acked_early(qp, wqe, pkt))
+		return COMPST_DONE;
 	return COMPST_WRITE_SEND;
 	...+>
 }

// So does an answer to a request behind one that is being sent again.
@answer_past_request@
@@
 check_psn(...)
 {
 	<+...
 	if (wqe->state == wqe_state_pending) { ... }
 	else {
+		rxe_odp_acked_early(qp, wqe, pkt);
 		return COMPST_DONE;
 	}
 	...+>
 }

// A response that makes no sense is none: what it should have brought is not there.
@senseless_response@
@@
 rxe_completer(...)
 {
 	<+...
-	WARN_ON_ONCE(wqe->status == IB_WC_SUCCESS);
+	if (wqe->status == IB_WC_SUCCESS)
+		wqe->status = IB_WC_BAD_RESP_ERR;
 	do_complete(qp, wqe);
 	...+>
 }

@include_ring@
@@
 #include "rxe_queue.h"
+#include "rxe_ring.h"

// As many as there are when it begins, and the requester goes on behind them.
@flush_what_is_there@
@@
 flush_send_queue(...)
 {
 	...
+	rxe_ring_take_rest(q);
 	while ((wqe = queue_head(q, q->type))) {
 		...
+		wqe->state = wqe_state_posted;
 		queue_advance_consumer(q, q->type);
+		cond_resched();
 	}
+	qp->req.wqe_index = queue_get_consumer(q, q->type);
 }

// A free slot is one of a request that has not begun: who looks whether the queue is drained
// looks there.
@slot_is_free@
@@
 do_complete(...)
 {
 	...
+	wqe->state = wqe_state_posted;
 	queue_advance_consumer(qp->sq.queue, QUEUE_TYPE_FROM_CLIENT);
 	...
 }

// A ring can be long: not under a lock. The task is the only one to take from it.
@flush_without_lock@
@@
 rxe_completer(...)
 {
 	<+...
-	flush_send_queue(qp, notify);
 	spin_unlock_irqrestore(&qp->state_lock, flags);
+	flush_send_queue(qp, notify);
 	rxe_odp_leave_sender(qp);
 	...+>
 }

// Called with interrupts off, in which pages of a network driver's pool cannot be given back.
@drain@
@@
 drain_resp_pkts(...)
 {
 	<+...
-	kfree_skb(skb);
+	dev_kfree_skb_any(skb);
 	...+>
 }

@queue_response@
@@
 rxe_comp_queue_pkt(...)
 {
 	...
-	skb_queue_tail(&qp->resp_pkts, skb);
-	rxe_sched_task(&qp->send_task);
+	rxe_odp_queue_packet(qp, &qp->resp_pkts, &qp->send_task, &qp->comp_wait, skb);
 }
