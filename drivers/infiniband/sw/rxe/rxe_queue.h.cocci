// SPDX-License-Identifier: GPL-2.0

// Of a user's send queue: the copies of what was taken out of its ring, slot by slot, and
// the end of it. All that follows knows the copies only.
@queue_copies@
@@
 struct rxe_queue {
 	...
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

@slots@
@@
+static inline void *queue_slots(const struct rxe_queue *q)
+{
+	return q->copies ? q->copies : q->buf->data;
+}
+
 queue_next_index(...)
 {
 	...
 }

@consumer_copy@
@@
 queue_consumer_addr(...)
 {
 	<+...
-	q->buf->data
+	queue_slots(q)
 	...+>
 }

@index_copy@
@@
 queue_addr_from_index(...)
 {
 	<+...
-	q->buf->data
+	queue_slots(q)
 	...+>
 }
