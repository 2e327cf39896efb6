// SPDX-License-Identifier: GPL-2.0

// How long a queue is says the kernel, not what it has written down for its user.
@limit_of_queue@
@@
 rxe_srq_chk_attr(...)
 {
 	<+...
-	srq->rq.queue->buf->index_mask
+	srq->rq.queue->index_mask
 	...+>
 }
