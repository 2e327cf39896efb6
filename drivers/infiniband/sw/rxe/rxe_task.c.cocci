// SPDX-License-Identifier: GPL-2.0

// Who waits for a task sleeps, so that others run, whatever the priorities, and that the
// kernel can tell of a task that hangs.
@cleanup_waits@
@@
 rxe_cleanup_task(...)
 {
 	<+...
 	while (!is_done(task))
-		cond_resched();
+		flush_work(&task->work);
 	...+>
 }

@disable_waits@
@@
 rxe_disable_task(...)
 {
 	<+...
 	while (!is_done(task))
-		cond_resched();
+		flush_work(&task->work);
 	...+>
 }
