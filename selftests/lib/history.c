// SPDX-License-Identifier: GPL-2.0
/* See history.h */

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "history.h"
#include "odp.h"

#define WORDS	(HISTORY_BLOCK / sizeof(uint64_t))
#define DEPTH	48		/* events of a block that are remembered */
#define BARS	32		/* of a page */
#define NEVER	UINT64_MAX

/* Odd, so that it can be undone. */
#define SCRAMBLE	0x9e3779b97f4a7c15ULL
#define UNSCRAMBLE	0xf1de83e19937733dULL

struct event {
	uint64_t begin, end, stamp;
	enum history_kind kind;
	bool sure;
};

struct block {
	atomic_bool owned;
	unsigned int count;	/* events since the beginning */
	uint64_t forgotten;	/* the last end of an event that is not remembered */
	struct event events[DEPTH];
};

/* The device is surely kept from it between `set` and `lift`. */
struct bar {
	uint64_t begin, set, lift, end;
	unsigned int access;
};

struct page {
	pthread_mutex_t lock;
	unsigned int bars;
	struct bar bar[BARS];
	struct block blocks[HISTORY_BLOCKS];
};

struct history {
	atomic_ulong clock, stamp;
	size_t pages;
	struct page page[];
};

const char *const history_verdict_name[HISTORY_VERDICTS] = {
	"right", "stale", "foreign", "torn", "reached", "refused", "unknown",
};

struct history *history_new(size_t pages)
{
	struct history *h = mmap(NULL, sizeof(*h) + pages * sizeof(h->page[0]),
				 PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (h == MAP_FAILED)
		odp_die(errno, "memory for the history of %zu pages", pages);
	h->pages = pages;
	return h;
}

void history_reset(struct history *h)
{
	pthread_mutexattr_t shared;

	pthread_mutexattr_init(&shared);
	pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&shared, PTHREAD_MUTEX_ROBUST);
	for (size_t i = 0; i < h->pages; i++) {
		struct page *p = &h->page[i];

		memset(p, 0, sizeof(*p));
		pthread_mutex_init(&p->lock, &shared);
		for (size_t b = 0; b < HISTORY_BLOCKS; b++) {
			const uint64_t now = history_now(h);

			p->blocks[b].events[0] =
				(struct event){ now, now, 0, HISTORY_CHANGE, true };
			p->blocks[b].count = 1;
		}
	}
	pthread_mutexattr_destroy(&shared);
}

uint64_t history_now(struct history *h)
{
	return atomic_fetch_add(&h->clock, 1) + 1;
}

uint64_t history_stamp(struct history *h)
{
	return atomic_fetch_add(&h->stamp, 1) + 1;
}

/*
 * The kernel tells that an owner died by a list in his memory. Where that was reaped before
 * (process_mrelease), the word stays as it is: then we set it as the kernel would have.
 */
static void look_for_owner(struct page *p)
{
	int *const word = &p->lock.__data.__lock;
	int found = __atomic_load_n(word, __ATOMIC_RELAXED);
	const pid_t owner = found & FUTEX_TID_MASK;

	if (owner && kill(owner, 0) && errno == ESRCH)
		__atomic_compare_exchange_n(word, &found,
					    (found & FUTEX_WAITERS) | FUTEX_OWNER_DIED,
					    false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static struct page *lock(struct history *h, size_t page)
{
	struct page *p = &h->page[page];
	int err = pthread_mutex_trylock(&p->lock);

	while (err == EBUSY || err == ETIMEDOUT) {
		struct timespec end;

		clock_gettime(CLOCK_REALTIME, &end);
		end.tv_sec++;
		err = pthread_mutex_timedlock(&p->lock, &end);
		if (err == ETIMEDOUT)
			look_for_owner(p);
	}
	/* Who died with it has changed a number or two, if that */
	if (err == EOWNERDEAD)
		pthread_mutex_consistent(&p->lock);
	return p;
}

static void unlock(struct page *p)
{
	pthread_mutex_unlock(&p->lock);
}

/* --- what is in a block ----------------------------------------------------------- */

/* Any byte of the result depends on all of the number, and the other way round. */
static uint64_t scramble(uint64_t x)
{
	x = (x ^ x >> 32) * SCRAMBLE;
	x = (x ^ x >> 32) * SCRAMBLE;
	return x ^ x >> 32;
}

static uint64_t unscramble(uint64_t x)
{
	x = (x ^ x >> 32) * UNSCRAMBLE;
	x = (x ^ x >> 32) * UNSCRAMBLE;
	return x ^ x >> 32;
}

static uint64_t word(size_t block, uint64_t stamp, size_t i)
{
	return stamp ? scramble(stamp << 24 | block << 7 | i) : 0;
}

void history_fill(void *at, size_t block, uint64_t stamp)
{
	volatile uint64_t *p = at;

	for (size_t i = 0; i < WORDS; i++)
		p[i] = word(block, stamp, i);
}

/* The stamp of a word; false if it is no word of that place. */
static bool stamp_of(uint64_t seen, size_t block, size_t i, uint64_t *stamp)
{
	*stamp = unscramble(seen) >> 24;
	return seen == word(block, *stamp, i);
}

/* --- events ------------------------------------------------------------------------- */

static struct block *block_of(struct page *p, size_t block)
{
	return &p->blocks[block % HISTORY_BLOCKS];
}

unsigned int history_begin(struct history *h, size_t block, enum history_kind kind,
			   uint64_t stamp)
{
	struct page *p = lock(h, block / HISTORY_BLOCKS);
	struct block *b = block_of(p, block);
	unsigned int event = b->count++;
	struct event *e = &b->events[event % DEPTH];

	if (event >= DEPTH && e->end > b->forgotten)
		b->forgotten = e->end;
	*e = (struct event){ history_now(h), NEVER, stamp, kind, false };
	unlock(p);
	return event;
}

void history_end(struct history *h, size_t block, unsigned int event, bool sure)
{
	struct page *p = lock(h, block / HISTORY_BLOCKS);
	struct block *b = block_of(p, block);
	struct event *e = &b->events[event % DEPTH];
	const uint64_t now = history_now(h);

	if (b->count - event > DEPTH) {
		/* What began later has taken its place: it was forgotten without an end */
		b->forgotten = now;
	} else {
		e->end = now;
		e->sure = sure;
	}
	unlock(p);
}

bool history_try_own(struct history *h, size_t block)
{
	struct page *p = &h->page[block / HISTORY_BLOCKS];

	return !atomic_exchange(&block_of(p, block)->owned, true);
}

void history_disown(struct history *h, size_t block)
{
	struct page *p = &h->page[block / HISTORY_BLOCKS];

	atomic_store(&block_of(p, block)->owned, false);
}

static unsigned int oldest(const struct block *b)
{
	return b->count > DEPTH ? b->count - DEPTH : 0;
}

/* Whether all that ended before `end` was overwritten before `from`. */
static bool overwritten(const struct block *b, uint64_t end, uint64_t from)
{
	for (unsigned int i = oldest(b); i < b->count; i++) {
		const struct event *e = &b->events[i % DEPTH];

		if (e->sure && e->begin > end && e->end <= from)
			return true;
	}
	return false;
}

/* The event that a reader could have had the stamp from, the first one if several. */
static const struct event *source(const struct block *b, uint64_t stamp, uint64_t from,
				  uint64_t to)
{
	for (unsigned int i = oldest(b); i < b->count; i++) {
		const struct event *e = &b->events[i % DEPTH];

		if (e->stamp == stamp && e->begin <= to && !overwritten(b, e->end, from))
			return e;
	}
	return NULL;
}

static enum history_verdict judge_stamp(const struct block *b, uint64_t stamp,
					uint64_t from, uint64_t to)
{
	if (source(b, stamp, from, to))
		return HISTORY_RIGHT;
	/* Perhaps an event that is forgotten, if that was not overwritten for sure */
	if (b->forgotten && !overwritten(b, b->forgotten, from))
		return HISTORY_UNKNOWN;
	return HISTORY_STALE;
}

static bool byte_is(const struct block *b, size_t block, size_t i, unsigned int shift,
		    unsigned char byte, uint64_t from, uint64_t to)
{
	for (unsigned int n = oldest(b); n < b->count; n++) {
		const uint64_t stamp = b->events[n % DEPTH].stamp;

		if ((unsigned char)(word(block, stamp, i) >> shift) == byte &&
		    source(b, stamp, from, to))
			return true;
	}
	return false;
}

/* A word in the middle of a write, of which processors promise nothing either. */
static bool half_written(const struct block *b, size_t block, size_t i, uint64_t seen,
			 uint64_t from, uint64_t to)
{
	bool written = false;

	for (unsigned int n = oldest(b); n < b->count; n++) {
		const struct event *e = &b->events[n % DEPTH];

		written |= e->kind == HISTORY_WRITE && e->begin <= to && e->end >= from;
	}
	for (unsigned int shift = 0; written && shift < 64; shift += 8)
		written = byte_is(b, block, i, shift, seen >> shift, from, to);
	return written;
}

/*
 * A mixture is right where somebody wrote to the block meanwhile, and all of it is of
 * the same memory: there may be one change among the sources, and no write that ended
 * before that.
 */
static bool torn(const struct block *b, const unsigned char *seen, size_t block,
		 uint64_t from, uint64_t to)
{
	const uint64_t *words = (const uint64_t *)seen;
	const struct event *change = NULL;
	bool written = false;
	uint64_t stamp;

	for (size_t i = 0; i < WORDS; i++) {
		const struct event *e;

		if (!stamp_of(words[i], block, i, &stamp)) {
			written = true;
			continue;
		}
		e = source(b, stamp, from, to);
		if (e->kind == HISTORY_WRITE) {
			written |= e->end > from;
			continue;
		}
		if (change && change != e)
			return true;
		change = e;
	}
	for (size_t i = 0; change && i < WORDS; i++) {
		if (stamp_of(words[i], block, i, &stamp) &&
		    source(b, stamp, from, to)->end < change->begin)
			return true;
	}
	return !written;
}

static enum history_verdict judge(const struct block *b, size_t block, const void *seen,
				  uint64_t from, uint64_t to)
{
	const uint64_t *words = seen;
	uint64_t stamp, last = NEVER;
	bool mixed = false;

	for (size_t i = 0; i < WORDS; i++) {
		enum history_verdict verdict;

		if (!stamp_of(words[i], block, i, &stamp)) {
			if (!half_written(b, block, i, words[i], from, to))
				return HISTORY_FOREIGN;
			mixed = true;
			continue;
		}
		if (stamp == last)
			continue;
		verdict = judge_stamp(b, stamp, from, to);
		if (verdict != HISTORY_RIGHT)
			return verdict;
		mixed |= last != NEVER;
		last = stamp;
	}
	return mixed && torn(b, seen, block, from, to) ? HISTORY_TORN : HISTORY_RIGHT;
}

enum history_verdict history_judge(struct history *h, size_t block, const void *seen,
				   uint64_t from, uint64_t to)
{
	struct page *p = lock(h, block / HISTORY_BLOCKS);
	enum history_verdict verdict;

	verdict = judge(block_of(p, block), block, seen, from, to);
	unlock(p);
	return verdict;
}

/* The words that a block was seen with, in runs, and then what is known of it. */
void history_explain(struct history *h, size_t block, const void *seen, uint64_t from,
		     uint64_t to, char *text, size_t len)
{
	struct page *p = lock(h, block / HISTORY_BLOCKS);
	struct block *b = block_of(p, block);
	const uint64_t *words = seen;
	uint64_t stamp, run = NEVER;
	size_t n;

	n = snprintf(text, len, "block %zu, read %lu to %lu, has", block, from, to);
	for (size_t i = 0; i < WORDS && n < len; i++) {
		const bool ours = stamp_of(words[i], block, i, &stamp);

		if (ours ? stamp == run : run == NEVER - 1)
			continue;
		run = ours ? stamp : NEVER - 1;
		n += snprintf(text + n, len - n, ours ? " %zu: stamp %lx" : " %zu: word %lx",
			      i, ours ? stamp : words[i]);
	}
	for (unsigned int i = b->count; i-- > oldest(b) && n < len; ) {
		const struct event *e = &b->events[i % DEPTH];

		n += snprintf(text + n, len - n, "; %s%s %lx [%lu, %ld]",
			      e->sure ? "" : "perhaps ",
			      e->kind == HISTORY_CHANGE ? "change" :
			      e->kind == HISTORY_WRITE ? "write" : "freed",
			      e->stamp, e->begin, (long)e->end);
	}
	unlock(p);
}

/* --- pages that cannot be reached ------------------------------------------------------ */

void history_bar(struct history *h, size_t page, unsigned int access)
{
	struct page *p = lock(h, page);

	p->bar[p->bars++ % BARS] =
		(struct bar){ history_now(h), NEVER, NEVER, NEVER, access };
	unlock(p);
}

static struct bar *last_bar(struct page *p)
{
	return &p->bar[(p->bars - 1) % BARS];
}

void history_barred(struct history *h, size_t page)
{
	struct page *p = lock(h, page);

	last_bar(p)->set = history_now(h);
	unlock(p);
}

void history_lift(struct history *h, size_t page)
{
	struct page *p = lock(h, page);

	last_bar(p)->lift = history_now(h);
	unlock(p);
}

void history_lifted(struct history *h, size_t page)
{
	struct page *p = lock(h, page);

	last_bar(p)->end = history_now(h);
	unlock(p);
}

bool history_could_fail(struct history *h, size_t page, enum history_access access,
			uint64_t from, uint64_t to)
{
	struct page *p = lock(h, page);
	bool could = p->bars > BARS && p->bar[p->bars % BARS].end > from;

	for (unsigned int i = 0; i < p->bars && i < BARS; i++) {
		const struct bar *bar = &p->bar[i];

		could |= bar->access & access && bar->begin <= to && bar->end >= from;
	}
	unlock(p);
	return could;
}

bool history_must_fail(struct history *h, size_t page, enum history_access access,
		       uint64_t from, uint64_t to)
{
	struct page *p = lock(h, page);
	bool must = false;

	for (unsigned int i = 0; i < p->bars && i < BARS; i++) {
		const struct bar *bar = &p->bar[i];

		must |= bar->access & access && bar->set <= from && bar->lift >= to;
	}
	unlock(p);
	return must;
}
