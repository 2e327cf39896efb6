// SPDX-License-Identifier: GPL-2.0
/*
 * The layouts that this code was written and reviewed against. Objects are
 * shared with ib_core and its drivers, so where a kernel has another layout the
 * build stops here: compare its umem_odp.c with rust/odp first, then change the
 * figures.
 *
 * That Rust sees what C sees is another matter, which the layout tests that
 * bindgen writes into the bindings take care of.
 */

#include <linux/build_bug.h>
#include <linux/hmm-dma.h>
#include <linux/hmm.h>
#include <linux/mmu_notifier.h>
#include <rdma/ib_umem_odp.h>

#define ASSERT_OFFSET(type, member, offset) \
	static_assert(offsetof(struct type, member) == (offset))
#define ASSERT_SIZE(type, size) \
	static_assert(sizeof(struct type) == (size))

ASSERT_OFFSET(hmm_range, notifier, 0);
ASSERT_OFFSET(hmm_range, notifier_seq, 8);
ASSERT_OFFSET(hmm_range, start, 16);
ASSERT_OFFSET(hmm_range, end, 24);
ASSERT_OFFSET(hmm_range, hmm_pfns, 32);
ASSERT_OFFSET(hmm_range, default_flags, 40);
ASSERT_OFFSET(hmm_range, pfn_flags_mask, 48);
ASSERT_OFFSET(hmm_range, dev_private_owner, 56);
ASSERT_SIZE(hmm_range, 64);

ASSERT_OFFSET(hmm_dma_map, state, 0);
ASSERT_OFFSET(hmm_dma_map, pfn_list, 16);
ASSERT_OFFSET(hmm_dma_map, dma_list, 24);
ASSERT_OFFSET(hmm_dma_map, dma_entry_size, 32);
ASSERT_SIZE(hmm_dma_map, 40);

ASSERT_OFFSET(mmu_interval_notifier, interval_tree, 0);
ASSERT_OFFSET(mmu_interval_notifier, ops, 48);
ASSERT_OFFSET(mmu_interval_notifier, mm, 56);
ASSERT_OFFSET(mmu_interval_notifier, invalidate_seq, 80);
ASSERT_SIZE(mmu_interval_notifier, 88);

ASSERT_OFFSET(interval_tree_node, start, 24);
ASSERT_OFFSET(interval_tree_node, last, 32);

ASSERT_OFFSET(ib_umem, ibdev, 0);
ASSERT_OFFSET(ib_umem, owning_mm, 8);
ASSERT_OFFSET(ib_umem, length, 24);
ASSERT_OFFSET(ib_umem, address, 32);
ASSERT_OFFSET(ib_umem, dma_attrs, 40);
ASSERT_OFFSET(ib_umem, sgt_append, 56);
ASSERT_SIZE(ib_umem, 88);

ASSERT_OFFSET(ib_umem_odp, umem, 0);
ASSERT_OFFSET(ib_umem_odp, notifier, 88);
ASSERT_OFFSET(ib_umem_odp, tgid, 176);
ASSERT_OFFSET(ib_umem_odp, map, 184);
ASSERT_OFFSET(ib_umem_odp, umem_mutex, 224);
#ifndef CONFIG_DEBUG_LOCK_ALLOC
ASSERT_SIZE(mutex, 24);
ASSERT_OFFSET(ib_umem_odp, private, 248);
ASSERT_OFFSET(ib_umem_odp, npages, 256);
ASSERT_OFFSET(ib_umem_odp, is_implicit_odp, 260);
ASSERT_OFFSET(ib_umem_odp, page_shift, 264);
ASSERT_SIZE(ib_umem_odp, 272);
#endif

/* rust/odp/hmm.rs takes entries of `pfn_list` apart by these. */
static_assert(HMM_PFN_ORDER_SHIFT == 53);
static_assert(HMM_PFN_P2PDMA_BUS == 1UL << 58);
