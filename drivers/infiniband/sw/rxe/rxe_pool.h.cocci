// SPDX-License-Identifier: GPL-2.0

// Whether it has been taken out of its pool. That is done once, though the verb may be
// called again.
@elem_gone@
@@
 struct rxe_pool_elem {
 	...
+	bool gone;
 };

// What has an index is found by it until it is taken out of its pool, and may be about to
// be freed then: the count of its references, which the finder looks at, is apart from it,
// and is freed after a grace period, for which nobody waits.
@ref@
@@
+struct rxe_pool_ref {
+	struct kref		count;
+	struct rxe_pool_elem	*elem;
+	struct rcu_head		rcu;
+};
+
 struct rxe_pool_elem {
 	...
 };

@elem_has_ref@
@@
 struct rxe_pool_elem {
 	...
-	struct kref ref_cnt;
+	struct rxe_pool_ref *ref;
 	...
 };

@read@
identifier obj;
@@
-#define rxe_read(obj) kref_read(&(obj)->elem.ref_cnt)
+#define rxe_read(obj) kref_read(&(obj)->elem.ref->count)
