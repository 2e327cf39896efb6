/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Operations of every kind that wait for a page which nobody serves, of every kind of
 * memory.
 */
#ifndef BLOCKED_H
#define BLOCKED_H

#include <pthread.h>

#include "odp.h"

enum blocked_memory {
	BLOCKED_UFFD,		/* userfaultfd */
	BLOCKED_FUSE,		/* a file of fuse_unserved, MAP_PRIVATE */
	BLOCKED_FUSE_SHARED,	/* MAP_SHARED, for what writes */
	BLOCKED_FUSE_RANDOM,	/* MADV_RANDOM: the page is read by who faults, unkillably */
	BLOCKED_MEMORIES
};

enum blocked_by {
	BLOCKED_WRITE,		/* the responder, at an RDMA WRITE */
	BLOCKED_READ,		/* … at an RDMA READ */
	BLOCKED_RECEIVE,	/* … at a SEND, whose receive buffer it is */
	BLOCKED_GATHER,		/* the requester, at the source of an RDMA WRITE */
	BLOCKED_SCATTER,	/* the completer, at the target of an RDMA READ */
	BLOCKED_PREFETCH,	/* a thread in ibv_advise_mr() */
	BLOCKED_PREFETCH_LATER,	/* a prefetch that nobody waits for */
	BLOCKED_BYS
};

extern const char *const blocked_memory_name[BLOCKED_MEMORIES];
extern const char *const blocked_by_name[BLOCKED_BYS];

#define BLOCKED_LEN	(64 * ODP_PAGE)

struct blocked {
	struct odp o;			/* a device and a pair of its own */
	struct ibv_qp *qp;		/* that waits; of prefetches, one that does not */
	unsigned char *addr;
	struct ibv_mr *mr, *pinned;
	int fd;				/* the userfaultfd, or the file */
	enum blocked_memory memory;
	pthread_t prefetcher;
};

/* The operation waits when this returns. */
void blocked_start(struct blocked *b, enum blocked_memory memory, enum blocked_by by);

/* The page comes: fd is that of who waits, or a duplicate, and addr his. It is closed. */
void blocked_serve(enum blocked_memory memory, int fd, const void *addr);

#endif
