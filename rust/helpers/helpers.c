// SPDX-License-Identifier: GPL-2.0
/*
 * C macros and inline functions that Rust cannot call. One file per C header;
 * nothing here does more than its C namesake.
 */

#include "hmm.c"
#include "ib_verbs.c"
#include "iommu.c"
#include "ioport.c"
#include "memcontrol.c"
#include "memremap.c"
#include "mm.c"
#include "mmap_lock.c"
#include "mmu_notifier.c"
#include "oom.c"
#include "page_flags.c"
#include "pagemap.c"
#include "pid.c"
#include "rwlock.c"
#include "sched.c"
#include "sched_mm.c"
#include "sched_signal.c"
#include "signal.c"
#include "wait_bit.c"
