// SPDX-License-Identifier: GPL-2.0

// An MR whose init failed gets here too, without anything of Rust's.
@mr_cleanup@
@@
 rxe_mr_cleanup(struct rxe_pool_elem *elem)
 {
 	...
+	if (is_odp_mr(mr))
+		rxe_odp_mr_cleanup(mr);
 	ib_umem_release(mr->umem);
 	...
 }

// A flush of a whole MR can be longer than an unsigned int tells.
@flush_length@
typedef u64;
@@
 int rxe_flush_pmem_iova(struct rxe_mr *mr, u64 start,
-			unsigned int
+			u64
			length)
 {
 	...
 }

@pinned_flush_length@
typedef u64;
@@
 rxe_mr_flush_pmem_iova(struct rxe_mr *mr, u64 iova,
-			unsigned int
+			u64
			length)
 {
 	...
 }

@pinned_flush_piece@
typedef u64;
expression length, rest;
@@
 rxe_mr_flush_pmem_iova(...)
 {
 	<+...
 	bytes = min_t(
-		unsigned int
+		u64
		, length, rest);
 	...+>
 }

// Whoever tries again after an error does so with what he had.
@copy_data_start@
@@
 copy_data(...)
 {
 	...
 	int err;
+	const u32 cur_sge = dma->cur_sge;
 	... when any
 }

@copy_data_error@
@@
 copy_data(...)
 {
 	<+...
+	dma->cur_sge = cur_sge;
 	return err;
 	...+>
 }

// Memory that is not there is parked for.
@mr_copy@
@@
 int rxe_mr_copy(struct rxe_mr *mr, u64 iova, void *addr,
 		unsigned int length, enum rxe_mr_copy_dir dir
+		, struct rxe_odp_wait *wait
 		)
 {
 	...
 }

@odp_mr_copy@
@@
 rxe_mr_copy(...)
 {
 	<+...
 	rxe_odp_mr_copy(mr, iova, addr, length, dir
+			, wait
 			)
 	...+>
 }

@copy_data_wait@
@@
 int copy_data(struct rxe_pd *pd, int access, struct rxe_dma_info *dma,
 	       void *addr, int length, enum rxe_mr_copy_dir dir
+	       , struct rxe_odp_wait *wait
 	       )
 {
 	<+...
 	rxe_mr_copy(mr, iova, addr, bytes, dir
+		    , wait
 		    )
 	...+>
 }

@flush_wait@
@@
 int rxe_flush_pmem_iova(struct rxe_mr *mr, u64 start, u64 length
+			, struct rxe_odp_wait *wait
 			)
 {
 	<+...
 	rxe_odp_flush_pmem_iova(mr, start, length
+				, wait
 				)
 	...+>
 }

// Another PD's region is nobody's to invalidate.
@invalidate_pd@
@@
 rxe_invalidate_mr(...)
 {
 	<+...
+	if (mr->ibmr.pd != qp->ibqp.pd) {
+		rxe_dbg_mr(mr, "Attempt to invalidate an MR of another PD\n");
+		ret = -EINVAL;
+		goto err_drop_ref;
+	}
+
 	if (atomic_read(&mr->num_mw) > 0) {
 		...
 	}
 	...+>
 }

// What a process has the kernel keep is charged to its memory cgroup.
@pages_charged@
@@
-	kzalloc_objs(struct rxe_mr_page, num_pages)
+	kzalloc_objs(struct rxe_mr_page, num_pages, GFP_KERNEL_ACCOUNT)
