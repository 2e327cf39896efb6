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
