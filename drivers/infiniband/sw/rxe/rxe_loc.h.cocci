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

// The table ends with this one.
@known_opcode@
@@
 wr_opcode_mask(int opcode, struct rxe_qp *qp)
 {
+	if (unlikely(opcode < 0 || opcode > IB_WR_REG_MR))
+		return 0;
 	...
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

// Memory that is not there is parked for.
@mr_copy@
@@
 int rxe_mr_copy(struct rxe_mr *mr, u64 iova, void *addr,
 		unsigned int length, enum rxe_mr_copy_dir dir
+		, struct rxe_odp_wait *wait
 		);

@copy_data@
@@
 int copy_data(struct rxe_pd *pd, int access, struct rxe_dma_info *dma,
 	       void *addr, int length, enum rxe_mr_copy_dir dir
+	       , struct rxe_odp_wait *wait
 	       );

@flush@
@@
 int rxe_flush_pmem_iova(struct rxe_mr *mr, u64 iova, u64 length
+			, struct rxe_odp_wait *wait
 			);

@odp_mr_copy@
@@
 int rxe_odp_mr_copy(struct rxe_mr *mr, u64 iova, void *addr, int length,
 		    enum rxe_mr_copy_dir dir
+		    , struct rxe_odp_wait *wait
 		    );

@odp_atomic_op@
@@
 enum resp_states rxe_odp_atomic_op(struct rxe_mr *mr, u64 iova, int opcode,
 				   u64 compare, u64 swap_add, u64 *orig_val
+				   , struct rxe_odp_wait *wait
 				   );

@odp_flush@
@@
 int rxe_odp_flush_pmem_iova(struct rxe_mr *mr, u64 iova, u64 length
+			    , struct rxe_odp_wait *wait
 			    );

@odp_atomic_write@
@@
 enum resp_states rxe_odp_do_atomic_write(struct rxe_mr *mr, u64 iova, u64 value
+					 , struct rxe_odp_wait *wait
 					 );

// rxe_reach.h looks windows up.
@no_lookup_mw@
@@
-struct rxe_mw *rxe_lookup_mw(struct rxe_qp *qp, int access, u32 rkey);
