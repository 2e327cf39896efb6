// SPDX-License-Identifier: GPL-2.0

// What Rust keeps of an MR with on-demand paging; NULL for all others.
@mr_has_odp@
@@
 struct rxe_mr {
 	...
+	struct rxe_odp *odp;
 };

@include_wait@
@@
 #include "rxe_task.h"
+#include "rxe_odp_wait.h"
+#include "rxe_reach_types.h"

// Page faults that a queue pair has parked for, and the windows that are bound to it.
@qp_waits@
@@
 struct rxe_qp {
 	...
+	struct rxe_odp_wait req_wait;
+	struct rxe_odp_wait comp_wait;
+	struct rxe_odp_wait resp_wait;
+	bool comp_parked;
+	atomic_t num_mw;
 };

// Set before the device goes: no system call is to wait in it any more.
@device_going@
@@
 struct rxe_dev {
 	...
+	bool odp_going;
 };

// What the responder's present packet may reach.
@qp_reach@
@@
 struct rxe_qp {
 	...
+	struct rxe_reach_bytes reach;
 };

// The namespace whose sockets the device uses, and its place among their users; NULL if
// it has none.
@device_has_sockets@
@@
 struct rxe_dev {
 	...
+	struct net *net;
+	struct list_head links;
 };

// Held by who modifies the queue pair. Tasks are waited for within.
@qp_modify_lock@
@@
 struct rxe_qp {
 	...
+	struct mutex modify_lock;
 };
