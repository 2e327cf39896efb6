/* SPDX-License-Identifier: GPL-2.0 */
/*
 * /dev/umem_odp_abi: the six ib_umem_odp functions for a test in user space.
 *
 * One ioctl makes one call. Objects are named by small numbers, and are gone
 * with the file.
 */
#ifndef UMEM_ODP_ABI_H
#define UMEM_ODP_ABI_H

#include <linux/ioctl.h>
#include <linux/types.h>

enum umem_odp_abi_call {
	ABI_GET,	/* addr, len, access -> object */
	ABI_IMPLICIT,	/* access -> object */
	ABI_CHILD,	/* object, addr, len -> object */
	ABI_RELEASE,	/* object */
	ABI_MAP,	/* object, addr, len, access (HMM_PFN_WRITE: 1), fault */
	ABI_UNMAP,	/* object, addr, len (the end address) */
	ABI_STATE,	/* object -> out: start, end, page_shift, flags */
	ABI_ENTRY,	/* object, addr (index) -> out: flags, order, same page as len */
	ABI_PINNED,	/* addr, len -> object that is not ODP */
	ABI_CLEAN,	/* addr -> its page is made clean */
	ABI_IS_DIRTY,	/* addr -> 1 if its page is dirty */
};

/* out[3] of ABI_STATE */
#define ABI_WRITABLE	1
#define ABI_IS_ODP	2
#define ABI_IS_IMPLICIT	4

/* out[0] of ABI_ENTRY */
#define ABI_VALID	1
#define ABI_WRITE	2

struct umem_odp_abi {
	__u32 call;
	__u32 object;
	__u64 addr;
	__u64 len;
	__u32 access;
	__u32 fault;
	__s64 result;	/* a negative errno, a count, or an object */
	__u64 out[4];
};

#define UMEM_ODP_ABI _IOWR('O', 1, struct umem_odp_abi)

#endif
