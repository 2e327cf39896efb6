// SPDX-License-Identifier: GPL-2.0

// A receive request that waited for memory is not the next connection's.
@reset_recv_wqe@
@@
 rxe_qp_reset(...)
 {
 	...
 	qp->resp.opcode = -1;
+	qp->resp.wqe = NULL;
 	...
 }

// Nor is an operation that failed, or ended in the middle: get_req() would go on
// with it, whatever the next connection's first packet is.
@reset_resource@
@@
 rxe_qp_reset(...)
 {
 	...
 	qp->resp.opcode = -1;
+	qp->resp.res = NULL;
 	...
 }

// A READ that ended in the middle, as it can where memory goes, would make the next
// connection's first answer look out of order.
@reset_completer@
@@
 rxe_qp_reset(...)
 {
 	...
 	qp->resp.opcode = -1;
+	qp->comp.opcode = -1;
 	...
 }

// Zero is an MTU of -1: packets of 4 GiB. Nobody else looks at what user space says.
@mtu_exists@
@@
 rxe_qp_chk_attr(...)
 {
 	<+...
 	if (
+	    mtu < IB_MTU_256 ||
 	    mtu > max_mtu) {
 		...
 	}
 	...+>
 }

// What has parked is scheduled again.
@sender_waits@
@@
 rxe_qp_init_req(...)
 {
 	<+...
 	rxe_init_task(&qp->send_task, qp, rxe_sender);
+	qp->req_wait.task = &qp->send_task;
+	qp->comp_wait.task = &qp->send_task;
 	...+>
 }

@receiver_waits@
@@
 rxe_qp_init_resp(...)
 {
 	<+...
 	rxe_init_task(&qp->recv_task, qp, rxe_receiver);
+	qp->resp_wait.task = &qp->recv_task;
 	...+>
 }

@include_ring@
@@
 #include "rxe_queue.h"
+#include "rxe_ring.h"

// What a user writes into his ring is copied.
@sq_copies@
@@
 rxe_init_sq(...)
 {
 	<+...
+	if (uresp) {
+		err = rxe_ring_init(qp->sq.queue);
+		if (err)
+			goto err_free;
+	}
 	err = do_mmap_info(...);
 	...+>
 }

@sq_no_copies@
@@
 rxe_init_sq(...)
 {
 	<+...
+	vfree(qp->sq.queue->copies);
 	vfree(qp->sq.queue->buf);
 	...+>
 }

// A READ that is under way has its place in what was freed. And what has come while the
// task was disabled, told nobody.
@resources_anew@
@@
 rxe_qp_from_attr(...)
 {
 	<+...
 	free_rd_atomic_resources(qp);
+	qp->resp.res = NULL;
 	...
 	rxe_enable_task(&qp->recv_task);
+	rxe_sched_task(&qp->recv_task);
 	...+>
 }

// A request that had parked, and was told while the send queue was drained, told nobody.
@ready_again@
@@
 rxe_qp_from_attr(...)
 {
 	<+...
 	qp->attr.qp_state = attr->qp_state;
+	if (attr->qp_state == IB_QPS_RTS)
+		rxe_sched_task(&qp->send_task);
 	...+>
 }

@init_modify_lock@
@@
 rxe_qp_init_misc(...)
 {
 	<+...
+	mutex_init(&qp->modify_lock);
 	spin_lock_init(&qp->state_lock);
 	...+>
 }

// What a process has the kernel keep is charged to its memory cgroup.
@resources_charged@
@@
-	kzalloc_objs(struct resp_res, n)
+	kzalloc_objs(struct resp_res, n, GFP_KERNEL_ACCOUNT)

// A task that ran until then may have failed the queue pair, which would neither be reset
// then nor tell so.
@reset_stays@
@@
 rxe_qp_reset(...)
 {
 	...
 	rxe_disable_task(&qp->send_task);
+	rxe_odp_qp_is_reset(qp);
 	...
 }
