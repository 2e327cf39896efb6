// SPDX-License-Identifier: GPL-2.0

// What has references is not freed, however long a page fault takes.
@wait_for_references@
@@
 __rxe_cleanup(...)
 {
 	<+...
-	ret = wait_for_completion_timeout(&elem->complete, ...);
+	ret = rxe_odp_wait_for_references(elem);
 	...+>
 }
