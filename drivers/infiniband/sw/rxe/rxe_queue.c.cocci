// SPDX-License-Identifier: GPL-2.0

@cleanup_copies@
@@
 rxe_queue_cleanup(...)
 {
 	<+...
+	vfree(q->copies);
 	kfree(q);
 	...+>
 }
