/* SPDX-License-Identifier: GPL-2.0 */
/*
 * /dev/umem_odp_dma: an RDMA device with on-demand paging, made of QEMU's edu
 * device and a table of DMA addresses, for a test in user space.
 *
 * One ioctl makes one call. Regions are named by small numbers, and are gone with
 * the file.
 */
#ifndef UMEM_ODP_DMA_H
#define UMEM_ODP_DMA_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define DMA_MAX_LEN	4096	/* of one DMA: the device's buffer */

enum umem_odp_dma_call {
	DMA_GET,	/* addr, len, access, flags -> region */
	DMA_IMPLICIT,	/* access -> region */
	DMA_CHILD,	/* region, addr, len -> region */
	DMA_RELEASE,	/* region */
	DMA_FAULT,	/* region, addr, len, flags -> pages */
	DMA_UNMAP,	/* region, addr, len: as an invalidation of that range */
	DMA_STATE,	/* region -> npages; out: start, end, page_shift, flags */
	DMA_ENTRY,	/* region, index, addr (of the page) -> flags; out: DMA address */
	DMA_CHECK,	/* region -> entries that did not agree with the IOMMU */
	DMA_READ,	/* region, addr, len, data: the device reads user memory */
	DMA_WRITE,	/* region, addr, len, data: the device writes user memory */
	DMA_READ_AT,	/* addr (DMA address), len, data: mapped or not */
	DMA_WRITE_AT,	/* addr (DMA address), len, data: mapped or not */
	DMA_CLEAN,	/* addr: its page is made clean */
	DMA_IS_DIRTY,	/* addr -> 1 if its page is dirty */
};

/* flags of DMA_GET: unmap page by page, each after a look whether it is as it must be */
#define DMA_GET_CAREFUL		1

/* flags of DMA_FAULT, as mlx5's */
#define DMA_FAULT_SNAPSHOT	1	/* only what is resident */
#define DMA_FAULT_DOWNGRADE	2	/* for reading, even if the region is writable */
#define DMA_FAULT_NO_UPDATE	4	/* and the update of the device's table fails */

/* out[3] of DMA_STATE */
#define DMA_IS_WRITABLE		1
#define DMA_IS_IMPLICIT		2
#define DMA_MODE_IOVA		4	/* one range of IOVA for the whole region */
#define DMA_MODE_LIST		8	/* a DMA address for each page */

/* flags of an entry: what the umem's table says */
#define DMA_VALID		0x001
#define DMA_WRITABLE		0x002
#define DMA_MAPPED		0x004
#define DMA_P2P			0x008
#define DMA_P2P_BUS		0x010
#define DMA_SAME_PAGE		0x020	/* it is the page that the CPU maps */
/* what the device's table says */
#define DMA_DEVICE_READ		0x040
#define DMA_DEVICE_WRITE	0x080
#define DMA_DEVICE_PLACE	0x100	/* at the DMA address where it must be */
/* what the IOMMU does with the DMA address where the page must be */
#define DMA_TRANSLATED		0x200
#define DMA_TRANSLATED_WHOLE	0x400	/* to the entry's page, to its last byte */

struct umem_odp_dma {
	__u32 call;
	__u32 region;
	__u64 addr;
	__u64 len;
	__u64 index;
	__u64 data;	/* user address */
	__u32 access;
	__u32 flags;
	__s64 result;	/* a negative errno, a count, flags, or a region */
	__u64 out[4];
};

#define UMEM_ODP_DMA _IOWR('O', 2, struct umem_odp_dma)

#endif
