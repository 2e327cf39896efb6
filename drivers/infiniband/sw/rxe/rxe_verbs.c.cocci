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

// Prefetches hold references, which rxe_cleanup() waits for: end them first.
@dereg_mr@
@@
 rxe_dereg_mr(...)
 {
 	<+...
+	if (is_odp_mr(mr))
+		rxe_odp_mr_stop(mr);
+
 	cleanup_err = rxe_cleanup(mr);
 	...+>
 }

// Whoever waits for memory holds references to its queue pair: end that first.
@destroy_qp@
@@
 rxe_destroy_qp(...)
 {
 	<+...
+	rxe_odp_qp_stop(qp);
 	err = rxe_cleanup(qp);
 	...+>
 }
