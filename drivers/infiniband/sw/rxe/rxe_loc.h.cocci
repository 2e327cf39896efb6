// SPDX-License-Identifier: GPL-2.0

// An MR with on-demand paging has no umem.
@is_odp_mr@
expression E;
@@
 is_odp_mr(struct rxe_mr *mr)
 {
-	return E;
+	return mr->odp;
 }

// A flush of a whole MR can be longer than an unsigned int tells.
@flush_length@
typedef u64;
@@
 int rxe_flush_pmem_iova(struct rxe_mr *mr, u64 iova,
-			unsigned int
+			u64
			length);

@odp_flush_length@
typedef u64;
@@
 int rxe_odp_flush_pmem_iova(struct rxe_mr *mr, u64 iova,
-			    unsigned int
+			    u64
			    length);
