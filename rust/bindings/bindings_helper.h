/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The C headers whose types and functions the `odp` crate uses and that the
 * kernel's own Rust bindings leave out.
 */

#include <linux/hmm.h>
#include <linux/hmm-dma.h>
#include <linux/hugetlb.h>
#include <linux/mmu_notifier.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <rdma/ib_umem_odp.h>
#include <rdma/ib_verbs.h>

/* Not an integer literal in C, so bindgen would leave it out. */
const unsigned int RUST_CONST_HELPER_HPAGE_SHIFT = HPAGE_SHIFT;
