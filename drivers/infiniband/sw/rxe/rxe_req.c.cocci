// SPDX-License-Identifier: GPL-2.0

// Memory that is not there is parked for.
@payload_wait@
@@
 finish_packet(...)
 {
 	<+...
 	copy_data(qp->pd, 0, &wqe->dma, payload_addr(pkt), payload, RXE_FROM_MR_OBJ
+		  , &qp->req_wait
 		  )
 	...+>
 }

// The packet is made anew when the memory is there, or may be: nothing was sent or consumed.
@request_not_ready@
@@
 rxe_requester(...)
 {
 	<+...
 	err = finish_packet(qp, av, wqe, &pkt, skb, payload);
+	if (err == -EAGAIN || err == -EINPROGRESS) {
+		rxe_odp_uncount_packet(qp, &pkt);
+		kfree_skb(skb);
+		if (ah)
+			rxe_put(ah);
+		if (err == -EAGAIN)
+			rxe_sched_task(&qp->send_task);
+		goto exit;
+	}
 	...+>
 }

// While the completer has parked the requester waits too: a retry would put the request
// back that the response is for.
@sender_parked@
@@
 rxe_sender(...)
 {
 	int req_ret;
 	int comp_ret;
+	if (rxe_odp_completer_waits(qp))
+		return -EAGAIN;
 	...
 }

// The responder says RNR to these too. Sent again without their address, they
// would be refused.
@retry_address@
@@
 req_retry(...)
 {
 	<+...
 	mask &
-	WR_READ_OR_WRITE_MASK
+	(WR_READ_OR_WRITE_MASK | WR_FLUSH_MASK | WR_ATOMIC_WRITE_MASK)
 	...+>
 }

@include_ring@
@@
 #include "rxe_queue.h"
+#include "rxe_ring.h"

// A user's request is taken out of its ring when its turn comes.
@take_from_ring@
@@
 __req_next_wqe(...)
 {
 	...
 	prod = queue_get_producer(q, QUEUE_TYPE_FROM_CLIENT);
+	if (index == prod)
+		prod = rxe_ring_take(qp, q);
 	...
 }

// What it is was found then.
@mask_of_kernel@
expression E;
@@
 req_next_wqe(...)
 {
 	...
+	if (!qp->is_user)
 	wqe->mask = E;
 	...
 }

// And was checked then.
@wrong_request@
expression E;
@@
-	if (E) {
-		rxe_dbg_qp(qp, "invalid num_sge/cur_sge in send wqe\n");
-		wqe->status = IB_WC_LOC_QP_OP_ERR;
-		goto err;
-	}
+	if (unlikely(rxe_ring_is_wrong(qp, wqe)))
+		goto err;

// What is in the ring of a failed queue pair the completer flushes, all of it. To schedule
// itself for each, here, would go on for as long as its user writes an index.
@failed_requester@
@@
 rxe_requester(...)
 {
 	<+...
 	if (unlikely(qp_state(qp) == IB_QPS_ERR)) {
-		wqe = __req_next_wqe(qp);
 		spin_unlock_irqrestore(&qp->state_lock, flags);
-		if (wqe) {
-			wqe->status = IB_WC_WR_FLUSH_ERR;
-			goto err;
-		} else {
-			goto exit;
-		}
+		goto exit;
 	}
 	...+>
 }

// What was posted too early waits for RTS, whoever schedules the task: a timer of the
// connection before can.
@not_yet_ready@
@@
 rxe_requester(...)
 {
 	<+...
 	if (unlikely(qp_state(qp) == IB_QPS_RESET)) { ... }
+	if (unlikely(qp_state(qp) < IB_QPS_RTS)) {
+		spin_unlock_irqrestore(&qp->state_lock, flags);
+		goto exit;
+	}
 	...+>
 }

// Who waits for packets to go looks once more when he has said so: the last may have
// gone before, and would have told nobody.
@packets_in_flight@
@@
 rxe_requester(...)
 {
 	<+...
 	if (unlikely(atomic_read(&qp->skb_out) > RXE_INFLIGHT_SKBS_PER_QP_HIGH)) {
-		qp->need_req_skb = 1;
-		goto exit;
+		WRITE_ONCE(qp->need_req_skb, 1);
+		smp_mb();
+		if (atomic_read(&qp->skb_out) > RXE_INFLIGHT_SKBS_PER_QP_HIGH)
+			goto exit;
 	}
 	...+>
 }

@packet_sent@
@@
 update_state(...)
 {
 	<+...
-	qp->need_req_skb = 0;
+	WRITE_ONCE(qp->need_req_skb, 0);
 	...+>
 }

// What is sent again begins in its request. Its ring is the user's to write to, and what
// was posted before the queue pair was ready has PSNs of no use: up to 2^24 times round.
@retry_in_request@
@@
 retry_first_write_send(...)
 {
 	<+...
 	for (
 	     i = 0;
-	     i < npsn;
+	     i < npsn && wqe->dma.resid;
 	     i++)
 	{ ... }
 	...+>
 }
