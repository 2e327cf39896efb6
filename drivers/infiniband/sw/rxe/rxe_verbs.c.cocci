// SPDX-License-Identifier: GPL-2.0

// Memory with on-demand paging may ask for huge pages.
@reg_user_mr_hugetlb@
@@
 rxe_reg_user_mr(...)
 {
 	<+...
 	if (access &
-	    ~RXE_ACCESS_SUPPORTED_MR
+	    ~rxe_odp_supported_access(access)
 	   ) { ... }
 	...+>
 }

// And may go on to do so.
@rereg_user_mr_hugetlb@
@@
 rxe_rereg_user_mr(...)
 {
 	<+...
 	    (access &
-	    ~RXE_ACCESS_SUPPORTED_MR
+	    ~rxe_odp_supported_access(access)
 	    )
 	...+>
 }

// What can be written to is a question to the umem, which an MR of Rust does not have.
@rereg_user_mr@
@@
 rxe_rereg_user_mr(...)
 {
 	<+...
-	err = ib_umem_check_rereg(mr->umem, flags, access);
+	if (is_odp_mr(mr))
+		err = rxe_odp_check_rereg(mr, flags, access);
+	else
+		err = ib_umem_check_rereg(mr->umem, flags, access);
 	...+>
 }

// What works on the MR in workers, or has parked for it, is ended first, and it gets no
// more windows.
@dereg_mr@
@@
 rxe_dereg_mr(...)
 {
 	<+...
+	rxe_odp_retire_mr(mr);
 	cleanup_err = rxe_cleanup(mr);
-	if (cleanup_err)
+	if (cleanup_err) {
 		rxe_err_mr(mr, "cleanup failed, err = %d\n", cleanup_err);
+		return cleanup_err;
+	}
 	...+>
 }

// How long a queue is says the kernel, not what it has written down for its user.
@query_srq_length@
@@
 rxe_query_srq(...)
 {
 	<+...
-	srq->rq.queue->buf->index_mask
+	srq->rq.queue->index_mask
 	...+>
 }

// What the queue pair waits for, and what waits for it, is ended first.
@destroy_qp@
@@
 rxe_destroy_qp(...)
 {
 	<+...
+	rxe_odp_qp_stop(qp);
 	err = rxe_cleanup(qp);
 	...+>
 }

// What is still in use stays with its owner.
@destroy_qp_in_use@
expression E;
@@
 rxe_destroy_qp(...)
 {
 	<+...
 	err = rxe_cleanup(E);
 	if (err)
 		rxe_err_qp(...);
-	return 0;
+	return err;
 	...+>
 }

// What is still in use stays with its owner.
@destroy_cq_in_use@
expression E;
@@
 rxe_destroy_cq(...)
 {
 	<+...
 	err = rxe_cleanup(E);
 	if (err)
 		rxe_err_cq(...);
-	return 0;
+	return err;
 	...+>
 }

// What is still in use stays with its owner.
@destroy_srq_in_use@
expression E;
@@
 rxe_destroy_srq(...)
 {
 	<+...
 	err = rxe_cleanup(E);
 	if (err)
 		rxe_err_srq(...);
-	return 0;
+	return err;
 	...+>
 }

// What is still in use stays with its owner.
@dealloc_pd_in_use@
expression E;
@@
 rxe_dealloc_pd(...)
 {
 	<+...
 	err = rxe_cleanup(E);
 	if (err)
 		rxe_err_pd(...);
-	return 0;
+	return err;
 	...+>
 }

// ib_uverbs lets threads modify a queue pair at the same time. One that is reset by one of
// them would have its tasks enabled while the other waits for their end.
@modify_qp_locked@
@@
-static int rxe_modify_qp(struct ib_qp *ibqp, struct ib_qp_attr *attr,
-			 int mask, struct ib_udata *udata)
+static int rxe_modify_qp_locked(struct ib_qp *ibqp, struct ib_qp_attr *attr,
+				int mask, struct ib_udata *udata)
 {
 	...
 }
+
+static int rxe_modify_qp(struct ib_qp *ibqp, struct ib_qp_attr *attr,
+			 int mask, struct ib_udata *udata)
+{
+	struct rxe_qp *qp = to_rqp(ibqp);
+	int err;
+
+	mutex_lock(&qp->modify_lock);
+	err = rxe_modify_qp_locked(ibqp, attr, mask, udata);
+	mutex_unlock(&qp->modify_lock);
+	return err;
+}

// What a process has the kernel keep is charged to its memory cgroup.
@mr_charged@
@@
-	kzalloc_obj(*mr)
+	kzalloc_obj(*mr, GFP_KERNEL_ACCOUNT)

// Two threads may resize a queue: what is in it is asked under its lock, by who does
// (resize_finish()), and not of a ring that the other one has freed.
@resize_cq_once@
@@
 rxe_resize_cq(...)
 {
 	<+...
 	if (cqe > rxe->attr.max_cqe
-	    || cqe < queue_count(cq->queue, QUEUE_TYPE_TO_CLIENT)
 	   )
 		return -EINVAL;
 	...+>
 }
