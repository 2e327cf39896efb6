/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * edu_odp: DMA of QEMU's edu device on user memory that is not pinned.
 *
 * A process registers a range of its memory, or all of it, and gets a handle. From
 * then on the device reads and writes that memory at its user addresses, through
 * whoever has the file. Pages are faulted in when the device needs them.
 *
 * The device has a buffer of EDU_ODP_BUFFER bytes. A DMA goes through it in chunks:
 * byte k of an operation through byte k % EDU_ODP_BUFFER of the buffer. All who have
 * the device open share the buffer: what a READ leaves there a WRITE of another may find.
 *
 * All structures: fields named reserved, and flags that are not defined, must be
 * zero, else EINVAL. A call after the device has gone gives ENODEV. A request that
 * is not of this version of the interface gives ENOTTY.
 */
#ifndef EDU_ODP_H
#define EDU_ODP_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define EDU_ODP_ABI_VERSION	1
#define EDU_ODP_DEVICE		"/dev/edu_odp"

/* The size of the device's buffer in bytes. */
#define EDU_ODP_BUFFER		4096

/* The most ranges that a file can have registered at a time. */
#define EDU_ODP_MAX_RANGES	65536

/* How pages are mapped for the device: one IOVA range, page by page, or not at all. */
enum edu_odp_mode {
	EDU_ODP_MODE_NONE	= 0,
	EDU_ODP_MODE_IOVA	= 1,
	EDU_ODP_MODE_LIST	= 2,
	EDU_ODP_MODE_DIRECT	= 3,
};

struct edu_odp_device {
	__u32 abi_version;	/* out: EDU_ODP_ABI_VERSION of the driver */
	__u32 mode;		/* out: enum edu_odp_mode of a range made now */
	__u32 buffer;		/* out: EDU_ODP_BUFFER */
	__u32 reserved;
};

/* The device may write to the memory. */
#define EDU_ODP_REGISTER_WRITE	0x1
/* The whole address space: address and length are zero. */
#define EDU_ODP_REGISTER_ALL	0x2

struct edu_odp_register {
	__u64 address;		/* user address of the first byte, any alignment */
	__u64 length;		/* in bytes, not zero */
	__u32 flags;		/* EDU_ODP_REGISTER_* */
	__u32 handle;		/* out: names the range in this file, never zero */
};

struct edu_odp_deregister {
	__u32 handle;
	__u32 reserved;
};

enum edu_odp_op {
	EDU_ODP_READ	= 0,	/* user memory at source to the buffer */
	EDU_ODP_WRITE	= 1,	/* the buffer to user memory at target */
	EDU_ODP_COPY	= 2,	/* source to target, chunk by chunk */
};

struct edu_odp_dma {
	__u32 op;		/* enum edu_odp_op */
	__u32 flags;		/* none */
	__u32 source_handle;	/* zero for EDU_ODP_WRITE */
	__u32 target_handle;	/* zero for EDU_ODP_READ */
	__u64 source;		/* user address; zero for EDU_ODP_WRITE */
	__u64 target;		/* user address; zero for EDU_ODP_READ */
	__u64 length;		/* in bytes, not zero */
	__u64 done;		/* in: zero; out, on errors too: bytes of chunks that are done */
};

/* Only what is resident: nothing is faulted in, holes are no error. */
#define EDU_ODP_PREFETCH_NO_FAULT	0x1
/* For writing. */
#define EDU_ODP_PREFETCH_WRITE		0x2

struct edu_odp_prefetch {
	__u32 handle;
	__u32 flags;		/* EDU_ODP_PREFETCH_* */
	__u64 address;
	__u64 length;		/* in bytes, not zero */
};

/* What happened to a range, in pages of PAGE_SIZE and in events. */
struct edu_odp_query {
	__u32 handle;
	__u32 reserved;
	__u64 page_faults;			/* out: pages that DMAs had to fault in */
	__u64 page_faults_handled;		/* out: faults that brought pages in */
	__u64 page_invalidations;		/* out: pages that were taken away */
	__u64 page_invalidations_handled;	/* out: invalidations that took pages away */
	__u64 page_prefetch;			/* out: pages that prefetches brought in or found */
};

/* Where the device finds a page now, if it does. Wants CAP_SYS_RAWIO. */
struct edu_odp_peek {
	__u32 handle;
	__u32 mode;		/* out: enum edu_odp_mode, NONE if the page is not mapped */
	__u64 address;		/* user address */
	__u64 dma_address;	/* out: of the byte at address */
};

/*
 * A DMA at a DMA address, be it mapped or not: for tests, which show with it that
 * what was taken from the device is out of its reach. Wants CAP_SYS_RAWIO, and an
 * IOMMU that translates for the device, else EOPNOTSUPP.
 */
struct edu_odp_raw_dma {
	__u32 op;		/* EDU_ODP_READ or EDU_ODP_WRITE */
	__u32 length;		/* 1 to EDU_ODP_BUFFER, in bytes */
	__u64 dma_address;
};

#define EDU_ODP_IOC_DEVICE	_IOWR('E', 0xd0, struct edu_odp_device)
#define EDU_ODP_IOC_REGISTER	_IOWR('E', 0xd1, struct edu_odp_register)
#define EDU_ODP_IOC_DEREGISTER	_IOW('E', 0xd2, struct edu_odp_deregister)
#define EDU_ODP_IOC_DMA		_IOWR('E', 0xd3, struct edu_odp_dma)
#define EDU_ODP_IOC_PREFETCH	_IOW('E', 0xd4, struct edu_odp_prefetch)
#define EDU_ODP_IOC_QUERY	_IOWR('E', 0xd5, struct edu_odp_query)
#define EDU_ODP_IOC_PEEK	_IOWR('E', 0xd6, struct edu_odp_peek)
#define EDU_ODP_IOC_RAW_DMA	_IOW('E', 0xd7, struct edu_odp_raw_dma)

/*
 * Errors of REGISTER: EOPNOTSUPP, the device cannot address all memory, or not without
 * bounce buffers; ENOSPC, EDU_ODP_MAX_RANGES; EOVERFLOW, the range wraps around; ENOMEM.
 *
 * Errors of DMA and PREFETCH: ENOENT, no such handle; EFAULT, the memory is not in
 * the range, has no mapping that a device may use, or its process is gone; EPERM, it
 * is read-only; EAGAIN, invalidations, or want of memory or of DMA addresses, did not
 * end; EINTR, a signal came: go on after what is done; ECANCELED, the range was
 * deregistered meanwhile; EHWPOISON; EIO, the device does not answer.
 *
 * When DEREGISTER returns, the device has done with the range.
 */

#endif /* EDU_ODP_H */
