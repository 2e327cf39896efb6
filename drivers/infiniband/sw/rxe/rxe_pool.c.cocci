// SPDX-License-Identifier: GPL-2.0

// A verb that was given up while there were references may be called again.
@take_out_once@
@@
 __rxe_cleanup(...)
 {
 	...
-	xa_ret = xa_erase(xa, elem->index);
-	WARN_ON(xa_err(xa_ret));
-	__rxe_put(elem);
+	if (!elem->gone) {
+		elem->gone = true;
+		xa_ret = xa_erase(xa, elem->index);
+		WARN_ON(xa_err(xa_ret));
+		__rxe_put(elem);
+	}
 	...
 }

// What has references is not freed: its owner keeps it.
@wait_for_references@
@@
 __rxe_cleanup(...)
 {
 	<+...
 	if (!completion_done(&elem->complete)) {
-		ret = wait_for_completion_timeout(&elem->complete, ...);
-		if (WARN_ON(!ret))
-			err = -ETIMEDOUT;
+		ret = rxe_odp_wait_for_references(elem);
+		if (ret)
+			return ret;
 	}
 	...+>
 }

// The count of an element's references is apart from it, and outlives it for who has just
// found it by its index.
@new_ref@
@@
 __rxe_add_to_pool(...)
 {
 	<+...
-	kref_init(&elem->ref_cnt);
 	init_completion(&elem->complete);
 	...+>
 }

@alloc_ref@
@@
 __rxe_add_to_pool(...)
 {
 	<+...
+	elem->ref = kmalloc_obj(*elem->ref, gfp_flags | __GFP_ACCOUNT);
+	if (!elem->ref) {
+		err = -ENOMEM;
+		goto err_cnt;
+	}
+	kref_init(&elem->ref->count);
+	elem->ref->elem = elem;
 	err = xa_alloc_cyclic(...);
 	if (err < 0)
-		goto err_cnt;
+	{
+		kfree(elem->ref);
+		goto err_cnt;
+	}
 	...+>
 }

@find_ref@
@@
 rxe_pool_get_index(...)
 {
-	struct rxe_pool_elem *elem;
+	struct rxe_pool_ref *ref;
 	...
-	elem = xa_load(xa, index);
-	if (elem && kref_get_unless_zero(&elem->ref_cnt))
-		obj = elem->obj;
+	ref = xa_load(xa, index);
+	if (ref && kref_get_unless_zero(&ref->count))
+		obj = ref->elem->obj;
 	else
 		obj = NULL;
 	...
 }

@release_ref@
@@
 rxe_elem_release(struct kref *kref)
 {
-	struct rxe_pool_elem *elem = container_of(kref, typeof(*elem), ref_cnt);
-	complete(&elem->complete);
+	struct rxe_pool_ref *ref = container_of(kref, typeof(*ref), count);
+
+	complete(&ref->elem->complete);
 }

@free_ref@
@@
 __rxe_cleanup(...)
 {
 	...
 	if (pool->cleanup)
 		pool->cleanup(elem);
+	kfree_rcu(elem->ref, rcu);
 	...
 }

@get_ref@
@@
 __rxe_get(struct rxe_pool_elem *elem)
 {
 	return kref_get_unless_zero(
-				    &elem->ref_cnt
+				    &elem->ref->count
				    );
 }

@put_ref@
@@
 __rxe_put(struct rxe_pool_elem *elem)
 {
 	return kref_put(
-			&elem->ref_cnt
+			&elem->ref->count
			, rxe_elem_release);
 }

@publish_ref@
@@
 __rxe_finalize(...)
 {
 	...
 	xa_ret = xa_store(&elem->pool->xa, elem->index,
-			  elem
+			  elem->ref
			  , GFP_KERNEL);
 	...
 }

// What a process has the kernel keep is charged to its memory cgroup.
@indices_charged@
@@
-	XA_FLAGS_ALLOC
+	XA_FLAGS_ALLOC | XA_FLAGS_ACCOUNT
