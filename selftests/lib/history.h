/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What memory could have held at a time: the oracle of the storms.
 *
 * Memory is seen in blocks of HISTORY_BLOCK bytes, each all zeros or stamped: every
 * word names its block and the stamp, a number that is used once. Whoever changes a
 * block, by the CPU, by RDMA or by a system call, tells when that began and ended.
 * What a reader gets must then have been there at some time between the beginning
 * and the end of its reading, all of it at the same time, unless somebody wrote to the
 * block meanwhile: RDMA promises no more.
 *
 * It lives in memory shared by all processes that were forked since history_new(). Who
 * dies in a call leaves no lock behind.
 */
#ifndef HISTORY_H
#define HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HISTORY_BLOCK	1024UL	/* one packet of the usual MTU, so nobody's to tear */
#define HISTORY_BLOCKS	4UL	/* of a page */

struct history;

enum history_kind {
	HISTORY_CHANGE,		/* at once: other memory takes the place */
	HISTORY_WRITE,		/* bit by bit */
	HISTORY_FREED,		/* zeros from now on, or later, or not at all */
};

/* What the device is kept from, as bits. */
enum history_access { HISTORY_READS = 1, HISTORY_WRITES = 2 };

enum history_verdict {
	HISTORY_RIGHT,
	HISTORY_STALE,		/* it was there once, but not any more, or it was lost */
	HISTORY_FOREIGN,	/* it never was there */
	HISTORY_TORN,		/* a part of this and a part of that */
	HISTORY_REACHED,	/* memory that could not be reached was */
	HISTORY_REFUSED,	/* memory that could be reached was not */
	HISTORY_UNKNOWN,	/* too much has happened meanwhile */
	HISTORY_VERDICTS
};

extern const char *const history_verdict_name[HISTORY_VERDICTS];

struct history *history_new(size_t pages);

/* All of it is zeros, and can be reached. Nobody else may be at it. */
void history_reset(struct history *h);

/* The time. It passes by being asked for. */
uint64_t history_now(struct history *h);

/* A stamp that was not used before. */
uint64_t history_stamp(struct history *h);

/* A block with that stamp, or (0) of zeros. */
void history_fill(void *at, size_t block, uint64_t stamp);

/*
 * A change of a block begins; the result is for its end. One that may not have
 * happened, for an error, is not sure.
 */
unsigned int history_begin(struct history *h, size_t block, enum history_kind kind,
			   uint64_t stamp);
void history_end(struct history *h, size_t block, unsigned int event, bool sure);

/* The right to write to a block: two writers at once would tear it for good. */
bool history_try_own(struct history *h, size_t block);
void history_disown(struct history *h, size_t block);

/* A page is about to be kept from accesses; it is; it is about to be no more; it is not. */
void history_bar(struct history *h, size_t page, unsigned int access);
void history_barred(struct history *h, size_t page);
void history_lift(struct history *h, size_t page);
void history_lifted(struct history *h, size_t page);

/* What was read of a block between two times. */
enum history_verdict history_judge(struct history *h, size_t block, const void *seen,
				   uint64_t from, uint64_t to);

/* Whether a page could have been reached at some time, or was kept from it all the time. */
bool history_could_fail(struct history *h, size_t page, enum history_access access,
			uint64_t from, uint64_t to);
bool history_must_fail(struct history *h, size_t page, enum history_access access,
		       uint64_t from, uint64_t to);

/* One line about a block, for who sees it wrong. */
void history_explain(struct history *h, size_t block, const void *seen, uint64_t from,
		     uint64_t to, char *text, size_t len);

#endif
