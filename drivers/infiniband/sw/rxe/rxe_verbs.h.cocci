// SPDX-License-Identifier: GPL-2.0

// What Rust keeps of an MR with on-demand paging; NULL for all others.
@mr_has_odp@
@@
 struct rxe_mr {
 	...
+	struct rxe_odp *odp;
 };

// The windows that are bound to a queue pair.
@qp_windows@
@@
 struct rxe_qp {
 	...
+	atomic_t num_mw;
 };
