/* SPDX-License-Identifier: GPL-2.0 */
/* A process that has many queue pairs and prefetches wait for pages that nobody serves. */
#ifndef CROWD_H
#define CROWD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

/* What the two processes share. */
struct crowd {
	unsigned int qps, prefetches;
	bool idle;
	atomic_uint made, advised, refused, completed, failed;
	atomic_bool settled;	/* all waits that will */
	atomic_bool serve;	/* set it, and the pages are served */
	atomic_bool served;	/* and all has completed */
	atomic_int uffd;	/* a file descriptor of the crowd's */
};

/* Starts one; idle: it has no work, and waits for nothing. */
pid_t crowd_fork(struct crowd **crowd, unsigned int qps, unsigned int prefetches, bool idle);

/* Whether crowd->settled or crowd->served becomes true within so many seconds. */
bool crowd_becomes(atomic_bool *what, pid_t pid, double s);

#endif
