/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory some pages of which are under userfaultfd: a page fault there waits until it
 * is served, which nobody does by himself.
 */
#ifndef HELD_H
#define HELD_H

#include "odp.h"

#define HELD_WINDOW	(512 * ODP_PAGE)
#define HELD_LEN	(3 * HELD_WINDOW)	/* of the memory, and its region */
#define HELD		(HELD_WINDOW + 100 * ODP_PAGE)	/* where nobody serves faults */
#define HELD_PAGES	64
#define HELD_SOON_S	10	/* for what must not wait, on a slow machine */

struct held {
	struct odp o;		/* a pair that nobody else uses */
	unsigned char *addr;
	struct ibv_mr *mr, *pinned;
	int fd;			/* the userfaultfd */
};

/* The memory, its region and the pair. h->fd is set before, by uffd_open(). */
void held_open(struct held *h, const struct odp *device);

/* An RDMA WRITE is under way that waits for a page, when this returns. */
void held_write(struct held *h);

/* Waits until a page fault waits. */
void held_wait(struct held *h);

/* All pages are served from now on. */
void held_serve(struct held *h);

#endif
