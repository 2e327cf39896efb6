/* SPDX-License-Identifier: GPL-2.0 */
/* What memory management does to the region of rxe_mm: its kinds, see there. */
#ifndef MM_H
#define MM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "odp.h"

struct mm;

struct kind {
	const char *name;
	const char *effect;	/* what must have happened, in words */
	const char *counter;	/* its name in /proc/vmstat, or NULL: counted here */
	size_t pages;
	bool pairs;		/* pages 2n and 2n + 1 have the same data */
	void *(*map)(struct mm *m);
	/* By a thread, over and over: what leaves the data alone */
	void (*disturb)(struct mm *m);
	/* In the traffic, once in so many steps: what may change it */
	void (*change)(struct mm *m, size_t page);
	unsigned long rarely;
	/* After the last check: how many pages are wrong elsewhere */
	unsigned long (*close)(struct mm *m);
};

extern const struct kind mm_kinds[];	/* ends with one that has no name */

struct mm {
	struct odp o;
	const struct kind *kind;
	unsigned char *addr, *parked;
	size_t pages, len;		/* len bytes of a page are used */
	struct ibv_mr *mr, *local;
	uint64_t stamp, *stamps;	/* the last one, and of each page; 0: zeros */
	bool *maybe_zero;		/* zeros are right, too */
	unsigned short rnd[3], disturb_rnd[3];
	atomic_bool stop;
	int fd;
	pid_t child;
	int child_pipe;
	unsigned long child_steps;
	unsigned long steps, checked, wrong, effect;
};

void mm_open(struct mm *m);
unsigned long mm_close(struct mm *m);

/* Whether a page's bytes are those of its last write. */
bool mm_right(const struct mm *m, size_t page, const unsigned char *seen);

#endif
