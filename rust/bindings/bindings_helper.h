/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The C headers whose types and functions the `odp` crate uses and that the
 * kernel's own Rust bindings leave out.
 */

#include <linux/hmm.h>
#include <linux/hmm-dma.h>
#include <linux/hugetlb.h>
#include <linux/libnvdimm.h>
#include <linux/mmu_notifier.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/shmem_fs.h>
#include <linux/xarray.h>
#include <rdma/ib_umem_odp.h>
#include <rdma/ib_verbs.h>

/* Not integer literals in C, so bindgen would leave them out. */
const unsigned int RUST_CONST_HELPER_HPAGE_SHIFT = HPAGE_SHIFT;
const vm_flags_t RUST_CONST_HELPER_VM_SHADOW_STACK = VM_SHADOW_STACK;
const gfp_t RUST_CONST_HELPER_XA_FLAGS_ACCOUNT = XA_FLAGS_ACCOUNT;
const xa_mark_t RUST_CONST_HELPER_XA_MARK_0 = XA_MARK_0;
