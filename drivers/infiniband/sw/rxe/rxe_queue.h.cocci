// SPDX-License-Identifier: GPL-2.0

// Of a user's send queue: the copies of what was taken out of its ring, slot by slot, and
// the end of it. All that follows knows the slots only: the copies, or the ring itself.
@queue_copies@
@@
 struct rxe_queue {
 	...
+	void			*slots;
+	void			*copies;
+	u32			taken;
 };

@taken_only@
@@
 queue_get_producer(...)
 {
 	u32 prod;
+	if (type == QUEUE_TYPE_FROM_CLIENT && q->copies)
+		return q->taken;
 	...
 }

@consumer_copy@
@@
 queue_consumer_addr(...)
 {
 	<+...
-	q->buf->data
+	q->slots
 	...+>
 }

@index_copy@
@@
 queue_addr_from_index(...)
 {
 	<+...
-	q->buf->data
+	q->slots
 	...+>
 }
