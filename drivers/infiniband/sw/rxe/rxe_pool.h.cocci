// SPDX-License-Identifier: GPL-2.0

// Whether it has been taken out of its pool. That is done once, though the verb may be
// called again.
@elem_gone@
@@
 struct rxe_pool_elem {
 	...
+	bool gone;
 };
