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

// A task that is scheduled again and again while it runs, as its user can have it, lets
// others run, as does one that has as much to do.
@iterations_of_task@
identifier iterations;
@@
 do_task(...)
 {
-	unsigned int iterations;
+	unsigned int iterations = RXE_MAX_ITERATIONS;
 	...
 }

@iterations_once@
@@
-iterations = RXE_MAX_ITERATIONS;
 cont = 0;

@scheduled_again@
@@
 do_task(...)
 {
 	<+...
-	task->state = TASK_STATE_BUSY;
-	cont = 1;
+	if (iterations) {
+		iterations--;
+		task->state = TASK_STATE_BUSY;
+		cont = 1;
+	} else {
+		task->state = TASK_STATE_IDLE;
+		resched = 1;
+	}
 	...+>
 }
