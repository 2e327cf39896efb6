/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory management at work on memory under DMA: the kinds of rxe_mm and edu_mm, see
 * there, and the traffic.
 */
#ifndef MM_H
#define MM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

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
	/* In the traffic, at one step in so many: what may change it */
	void (*change)(struct mm *m, size_t page);
	unsigned long rarely;
	/* After the last check: how many pages are wrong elsewhere */
	unsigned long (*close)(struct mm *m);
};

extern const struct kind mm_kinds[];	/* ends with one that has no name */

/* Who does the DMA, between the memory's pages and m->buffer. */
struct mm_device {
	void (*open)(struct mm *m);
	/* len bytes at a page's start: NULL, or what went wrong */
	const char *(*read)(struct mm *m, size_t page);
	const char *(*write)(struct mm *m, size_t page);
	void (*close)(struct mm *m);
	unsigned int pause_us;	/* of the thread that disturbs */
	bool fill;		/* write to half of the pages first: DMAs are few */
};

struct mm {
	const struct mm_device *device;
	const struct kind *kind;
	unsigned char *addr, *parked;
	size_t pages, len;		/* len bytes of a page are used */
	unsigned char *buffer;		/* a page, for the DMA */
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

/* A run on memory of one kind: the exit status. */
int mm_run(const struct mm_device *device, const char *kind, unsigned long ms,
	   size_t len);

void mm_open(struct mm *m);
unsigned long mm_close(struct mm *m);

/* Whether what has to happen has, or must have. */
bool mm_happened(const struct mm *m);

/* Whether a page's bytes are those of its last write. */
bool mm_right(const struct mm *m, size_t page, const unsigned char *seen);

#endif
