// SPDX-License-Identifier: GPL-2.0

// Only a window that is bound can be invalidated: another one has no queue pair.
@invalidate_bound@
@@
 rxe_check_invalidate_mw(...)
 {
 	if (unlikely(
-		     mw->state == RXE_MW_STATE_INVALID
+		     mw->state != RXE_MW_STATE_VALID
 		    ))
 		return -EINVAL;
 	...
 }

// A region that is being deregistered gets no more windows. It looks at their number
// after it has changed its state; here it is the other way round.
@bind_to_valid@
@@
 rxe_check_bind_mw(...)
 {
 	<+...
 	if (access & IB_ZERO_BASED) { ... }
 	else { ... }
+
+	atomic_inc(&mr->num_mw);
+	smp_mb__after_atomic();
+	if (unlikely(READ_ONCE(mr->state) != RXE_MR_STATE_VALID)) {
+		atomic_dec(&mr->num_mw);
+		return -EINVAL;
+	}
 	return 0;
 	...+>
 }

@bind_is_counted@
@@
 rxe_do_bind_mw(...)
 {
 	<+...
 	mw->mr = mr;
-	atomic_inc(&mr->num_mw);
 	rxe_get(mr);
 	...+>
 }

// Nothing of a region is touched after the reference to it is gone.
@rebind_order@
@@
 rxe_do_bind_mw(...)
 {
 	<+...
-	rxe_put(mw->mr);
 	atomic_dec(&mw->mr->num_mw);
+	rxe_put(mw->mr);
 	mw->mr = NULL;
 	...+>
 }

// A window of type 2 belongs to its queue pair, and does not keep it.
@bind_keeps_no_qp@
@@
 rxe_do_bind_mw(...)
 {
 	<+...
-	rxe_get(qp);
+	atomic_inc(&qp->num_mw);
 	mw->qp = qp;
 	...+>
 }

@invalidate_keeps_no_qp@
@@
 rxe_do_invalidate_mw(...)
 {
-	struct rxe_qp *qp;
 	...
-	qp = mw->qp;
-	mw->qp = NULL;
-	rxe_put(qp);
+	rxe_odp_leave_qp(mw);
 	...
 }

@cleanup_keeps_no_qp@
@@
 rxe_mw_cleanup(...)
 {
 	<+...
-	if (mw->qp) {
-		struct rxe_qp *qp = mw->qp;
-		mw->qp = NULL;
-		rxe_put(qp);
-	}
+	rxe_odp_leave_qp(mw);
 	...+>
 }

// What is still in use stays with its owner.
@dealloc_mw_in_use@
@@
 rxe_dealloc_mw(...)
 {
 	...
-	rxe_cleanup(mw);
-	return 0;
+	return rxe_cleanup(mw);
 }
