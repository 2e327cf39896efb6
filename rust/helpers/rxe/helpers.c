// SPDX-License-Identifier: GPL-2.0
/*
 * C macros and inline functions that Rust in rxe cannot call. One file per C
 * header; nothing here does more than its C namesake.
 */

#include "netlink.c"
#include "rxe_verbs.c"
#include "spinlock.c"
#include "uverbs_ioctl.c"
