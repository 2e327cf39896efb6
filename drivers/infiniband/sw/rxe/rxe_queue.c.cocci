// SPDX-License-Identifier: GPL-2.0

@slots@
@@
 rxe_queue_init(...)
 {
 	<+...
 	q->buf->index_mask = q->index_mask;
+	q->slots = q->buf->data;
 	...+>
 }

@cleanup_copies@
@@
 rxe_queue_cleanup(...)
 {
 	<+...
+	vfree(q->copies);
 	kfree(q);
 	...+>
 }

// The user can write both indices, those of the new ring too. What was checked is what is
// copied, and what was copied is what the kernel goes on with.
@resize_checks_once@
@@
 resize_finish(...)
 {
 	...
-	if (!queue_empty(q, q->type) && (num_elem < queue_count(q, type)))
-		return -EINVAL;
-	new_prod = queue_get_producer(new_q, type);
+	new_prod = 0;
 	prod = queue_get_producer(q, type);
 	cons = queue_get_consumer(q, type);
+	if (num_elem < ((prod - cons) & q->index_mask))
+		return -EINVAL;
 	...
 }

@resize_producer@
@@
 resize_finish(...)
 {
 	<+...
-	new_q->index = new_q->buf->producer_index;
+	new_q->index = new_prod;
 	...+>
 }

@resize_consumer@
@@
 resize_finish(...)
 {
 	<+...
-	q->index = q->buf->consumer_index;
+	q->index = cons;
 	...+>
 }

// What a process has the kernel keep is charged to its memory cgroup.
@queue_charged@
@@
 rxe_queue_init(...)
 {
 	<+...
-	q = kzalloc_obj(*q);
+	q = kzalloc_obj(*q, GFP_KERNEL_ACCOUNT);
 	...+>
 }

@ring_charged@
@@
 rxe_queue_init(...)
 {
 	<+...
-	vmalloc_user(buf_size)
+	rxe_charge_ring(buf_size)
 	...+>
 }
