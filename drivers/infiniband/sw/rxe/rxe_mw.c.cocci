// SPDX-License-Identifier: GPL-2.0

// Who may is decided in reach.rs: the queue pair that it is bound to.
@invalidate_reach@
@@
 rxe_check_invalidate_mw(struct rxe_qp *qp, struct rxe_mw *mw)
 {
-	...
+	return rxe_reach_invalidates(qp, mw) ? 0 : -EINVAL;
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

// What a window may be of is decided in reach.rs: C10-72 to C10-75 in one.
@bind_reach@
statement S;
@@
-	if (unlikely(qp->pd != mr_pd(mr))) S
+	if (unlikely(!rxe_reach_binds(wqe, mw, mr, access))) {
+		rxe_dbg_mw(mw, "attempt to bind MW to an MR that does not allow it\n");
+		return -EINVAL;
+	}

@bind_reach_of_zero_based@
expression E;
@@
-	if (unlikely(E)) {
-		rxe_dbg_mw(mw, "attempt to bind MW to zero based MR\n");
-		return -EINVAL;
-	}

@bind_reach_right@
expression E;
@@
-	if (unlikely(E)) {
-		rxe_dbg_mw(mw, "attempt to bind an MW to an MR without bind access\n");
-		return -EINVAL;
-	}

@bind_reach_writable@
expression E;
@@
-	if (unlikely(E)) {
-		rxe_dbg_mw(mw, "attempt to bind an Writable MW to an MR without local write access\n");
-		return -EINVAL;
-	}

@bind_reach_bounds@
statement S1, S2;
@@
-	if (access & IB_ZERO_BASED) S1 else S2

// And what it gives access to, in rxe_reach.h.
@no_lookup_mw@
@@
-struct rxe_mw *rxe_lookup_mw(struct rxe_qp *qp, int access, u32 rkey)
-{
-	...
-}
