// SPDX-License-Identifier: GPL-2.0
/* Who makes the storm by what a process can do to its own memory, see storm.h */

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storm.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define HUGE		512UL	/* pages */
#define PART		ACTOR_PART
#define BARRED_US	3000
#define LIE_US		20000
#define LONG_LIE_US	100000	/* where a message has to begin and end in it */

static void must(bool failed, const char *what)
{
	if (failed)
		odp_die(errno, "%s", what);
}

/* --- turns ----------------------------------------------------------------------------- */

bool actor_turn(struct actor_thread *t, size_t page, size_t count)
{
	t->first = page;
	for (t->turns = 0; t->turns < count; t->turns++) {
		if (pthread_mutex_trylock(&t->area->turns[page + t->turns])) {
			actor_done(t);
			return false;
		}
	}
	return true;
}

void actor_done(struct actor_thread *t)
{
	while (t->turns)
		pthread_mutex_unlock(&t->area->turns[t->first + --t->turns]);
}

/*
 * The turn of some pages. In the second half of the memory all pages of a huge page
 * change together, and seldom, so that there are huge pages.
 */
static bool some_pages(struct actor_thread *t, size_t *page, size_t *count)
{
	struct storm *s = t->area->storm;

	*page = storm_page(s, t->rnd);
	*count = 1 + odp_random(t->rnd, PART);
	if (*page >= s->pages / 2) {
		if (odp_random(t->rnd, 64))
			return false;
		*page -= *page % HUGE;
		*count = HUGE;
	} else if (*count > s->pages / 2 - *page) {
		*count = s->pages / 2 - *page;
	}
	return actor_turn(t, *page, *count);
}

static unsigned char *at(struct actor_thread *t, size_t page)
{
	return t->area->addr + page * ODP_PAGE;
}

/* --- changes ------------------------------------------------------------------------------ */

struct change {
	size_t block, count;
	unsigned int events[HUGE * HISTORY_BLOCKS];
};

static void begin(struct actor_thread *t, struct change *c, size_t page, size_t count,
		  enum history_kind kind, const uint64_t *stamps)
{
	c->block = page * HISTORY_BLOCKS;
	c->count = count * HISTORY_BLOCKS;
	for (size_t i = 0; i < c->count; i++)
		c->events[i] = history_begin(t->area->storm->history, c->block + i, kind,
					     stamps ? stamps[i] : 0);
}

static void end(struct actor_thread *t, struct change *c, bool sure)
{
	for (size_t i = 0; i < c->count; i++)
		history_end(t->area->storm->history, c->block + i, c->events[i], sure);
}

static void map_fresh(unsigned char *addr, size_t pages)
{
	must(mmap(addr, pages * ODP_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE |
		  MAP_ANONYMOUS | MAP_FIXED, -1, 0) != addr, "mmap");
	madvise(addr, pages * ODP_PAGE, pages < HUGE ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
}

static void map_over(struct actor_thread *t)
{
	struct change c;
	size_t page, count;

	if (!some_pages(t, &page, &count))
		return;
	begin(t, &c, page, count, HISTORY_CHANGE, NULL);
	map_fresh(at(t, page), count);
	end(t, &c, true);
	actor_done(t);
}

static void give_back(struct actor_thread *t)
{
	struct change c;
	size_t page, count;

	if (!some_pages(t, &page, &count))
		return;
	begin(t, &c, page, count, HISTORY_CHANGE, NULL);
	must(madvise(at(t, page), count * ODP_PAGE, MADV_DONTNEED), "MADV_DONTNEED");
	end(t, &c, true);
	actor_done(t);
}

static void give_back_lazily(struct actor_thread *t)
{
	struct change c;
	size_t page, count;

	if (!some_pages(t, &page, &count))
		return;
	begin(t, &c, page, count, HISTORY_FREED, NULL);
	must(madvise(at(t, page), count * ODP_PAGE, MADV_FREE), "MADV_FREE");
	end(t, &c, false);
	actor_done(t);
}

/* Pages with new stamps are moved over those that are there. */
static void move_in(struct actor_thread *t)
{
	uint64_t stamps[PART * HISTORY_BLOCKS];
	size_t page, count;
	struct change c;

	if (!some_pages(t, &page, &count))
		return;
	if (count > PART) {
		actor_done(t);
		return;
	}
	for (size_t i = 0; i < count * HISTORY_BLOCKS; i++) {
		stamps[i] = history_stamp(t->area->storm->history);
		history_fill(t->fresh + i * HISTORY_BLOCK, page * HISTORY_BLOCKS + i,
			     stamps[i]);
	}
	begin(t, &c, page, count, HISTORY_CHANGE, stamps);
	must(mremap(t->fresh, count * ODP_PAGE, count * ODP_PAGE,
		    MREMAP_MAYMOVE | MREMAP_FIXED, at(t, page)) != at(t, page), "mremap");
	end(t, &c, true);
	map_fresh(t->fresh, PART);
	actor_done(t);
}

/* What was moved away stays as it was; only MADV_FREE may still take it. */
static void check_parked(struct actor_thread *t)
{
	const uint64_t *now = (const uint64_t *)t->parked, *then = (const uint64_t *)t->kept;

	for (size_t i = 0; i < t->parked_pages * ODP_PAGE / sizeof(*now); i++) {
		if (now[i] == then[i] || !now[i])
			continue;
		storm_verdict(t->area->storm, HISTORY_REACHED, "memory that was moved away",
			      "something has written to it");
		return;
	}
}

static void move_away(struct actor_thread *t)
{
	size_t page, count, len;
	struct change c;
	uint64_t from;

	check_parked(t);
	if (!some_pages(t, &page, &count))
		return;
	if (count > PART) {
		actor_done(t);
		return;
	}
	/* What was moved in is a mapping of its own, and only one can be moved */
	count = 1;
	len = ODP_PAGE;
	from = history_now(t->area->storm->history);
	begin(t, &c, page, count, HISTORY_CHANGE, NULL);
	must(mremap(at(t, page), len, len, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
		    t->parked) != t->parked, "mremap");
	end(t, &c, true);
	memcpy(t->kept, t->parked, len);
	t->parked_pages = count;
	storm_judge(t->area->storm, "memory that was moved away", c.block, c.count, t->kept,
		    from, history_now(t->area->storm->history));
	actor_done(t);
}

/* --- pages that cannot be reached for a while --------------------------------------------- */

static void bar(struct actor_thread *t, size_t page, size_t count, unsigned int access,
		void (*keep_off)(unsigned char *, size_t), void (*let)(unsigned char *, size_t))
{
	struct history *h = t->area->storm->history;

	for (size_t i = page; i < page + count; i++)
		history_bar(h, i, access);
	keep_off(at(t, page), count * ODP_PAGE);
	for (size_t i = page; i < page + count; i++)
		history_barred(h, i);
	usleep(odp_random(t->rnd, BARRED_US));
	for (size_t i = page; i < page + count; i++)
		history_lift(h, i);
	let(at(t, page), count * ODP_PAGE);
	for (size_t i = page; i < page + count; i++)
		history_lifted(h, i);
}

static void read_only(unsigned char *addr, size_t len)
{
	must(mprotect(addr, len, PROT_READ), "mprotect");
}

static void no_access(unsigned char *addr, size_t len)
{
	must(mprotect(addr, len, PROT_NONE), "mprotect");
}

static void all_access(unsigned char *addr, size_t len)
{
	must(mprotect(addr, len, PROT_READ | PROT_WRITE), "mprotect");
}

static void unmap(unsigned char *addr, size_t len)
{
	must(munmap(addr, len), "munmap");
}

static void map_again(unsigned char *addr, size_t len)
{
	map_fresh(addr, len / ODP_PAGE);
}

static void protect(struct actor_thread *t)
{
	const bool none = odp_random(t->rnd, 2);
	size_t page, count;

	if (!some_pages(t, &page, &count))
		return;
	bar(t, page, count, none ? HISTORY_READS | HISTORY_WRITES : HISTORY_WRITES,
	    none ? no_access : read_only, all_access);
	actor_done(t);
}

/* Nobody maps anything so small meanwhile that it could come there. */
static void make_hole(struct actor_thread *t)
{
	struct change c;
	size_t page, count;

	if (!some_pages(t, &page, &count))
		return;
	begin(t, &c, page, count, HISTORY_CHANGE, NULL);
	bar(t, page, count, HISTORY_READS | HISTORY_WRITES, unmap, map_again);
	end(t, &c, true);
	actor_done(t);
}

/* --- what leaves the data alone -------------------------------------------------------------- */

/* It may fail, over what is barred, and not at all when it is for later. */
static void prefetch(struct actor_thread *t)
{
	struct storm *s = t->area->storm;
	const size_t page = storm_page(s, t->rnd);
	const bool writes = odp_random(t->rnd, 2), later = odp_random(t->rnd, 2);
	struct ibv_sge sge = {
		.addr = (uintptr_t)at(t, page),
		.length = (1 + odp_random(t->rnd, s->pages - page < 64 ? s->pages - page : 64)) *
			  ODP_PAGE,
		.lkey = t->area->mr->lkey,
	};

	ibv_advise_mr(t->area->device->pd, writes ? IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE :
		      IBV_ADVISE_MR_ADVICE_PREFETCH, later ? 0 : IBV_ADVISE_MR_FLAG_FLUSH,
		      &sge, 1);
}

/* --- the CPU ------------------------------------------------------------------------------- */

/* A quarter of the blocks become zeros, of which KSM makes one page. */
static void cpu_write(struct actor_thread *t)
{
	struct history *h = t->area->storm->history;
	const size_t page = storm_page(t->area->storm, t->rnd);

	if (!actor_turn(t, page, 1))
		return;
	for (size_t i = page * HISTORY_BLOCKS; i < (page + 1) * HISTORY_BLOCKS; i++) {
		const uint64_t stamp = page % 4 ? history_stamp(h) : 0;
		unsigned int event;

		if (!history_try_own(h, i))
			continue;
		event = history_begin(h, i, HISTORY_WRITE, stamp);
		history_fill(t->area->addr + i * HISTORY_BLOCK, i, stamp);
		history_end(h, i, event, true);
		history_disown(h, i);
	}
	actor_done(t);
}

/* Our own memory, with an error in place of a signal. */
static bool look(const void *from, void *to)
{
	struct iovec local = { to, ODP_PAGE }, remote = { (void *)from, ODP_PAGE };

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == ODP_PAGE;
}

static void cpu_read(struct actor_thread *t)
{
	struct storm *s = t->area->storm;
	const uint64_t from = history_now(s->history);
	const size_t page = storm_page(s, t->rnd);
	unsigned char seen[ODP_PAGE];

	if (look(at(t, page), seen))
		storm_judge(s, "the CPU", page * HISTORY_BLOCKS, HISTORY_BLOCKS, seen, from,
			    history_now(s->history));
}

/* --- children ------------------------------------------------------------------------------- */

#define CHILD_PAGES	6

/*
 * Has pages of its own: they stay as they are, unless MADV_FREE takes them, and what it
 * writes to them is nobody else's.
 */
static void be_child(struct actor_thread *t, size_t page)
{
	unsigned char before[CHILD_PAGES][ODP_PAGE], after[ODP_PAGE], written[ODP_PAGE];
	struct iovec local = { written, ODP_PAGE };
	bool seen[CHILD_PAGES];

	for (size_t i = 0; i < CHILD_PAGES; i++)
		seen[i] = look(at(t, page + i), before[i]);
	usleep(odp_random(t->rnd, 8000));
	for (size_t i = 0; i < CHILD_PAGES; i++) {
		struct iovec remote = { at(t, page + i), ODP_PAGE };
		const uint64_t *then = (uint64_t *)before[i], *now = (uint64_t *)after;

		if (!seen[i] || !look(at(t, page + i), after))
			continue;
		for (size_t w = 0; w < ODP_PAGE / sizeof(*now); w++)
			if (now[w] != then[w] && now[w])
				_exit(ODP_DEFECT);
		memset(written, 0xc1, sizeof(written));
		process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
	}
	if (odp_random(t->rnd, 2))
		execl("/bin/true", "true", NULL);
	_exit(ODP_OK);
}

static void have_child(struct actor_thread *t)
{
	const size_t page = storm_page(t->area->storm, t->rnd);
	int status;
	pid_t pid;

	if (page + CHILD_PAGES > t->area->storm->pages)
		return;
	pid = fork();
	must(pid < 0, "fork");
	if (!pid)
		be_child(t, page);
	if (odp_random(t->rnd, 4) == 0) {
		usleep(odp_random(t->rnd, 5000));
		kill(pid, SIGKILL);
	}
	must(waitpid(pid, &status, 0) != pid, "waitpid");
	atomic_fetch_add(&t->area->storm->children, 1);
	if (WIFEXITED(status) && WEXITSTATUS(status) == ODP_DEFECT)
		storm_verdict(t->area->storm, HISTORY_REACHED, "a child",
			      "its copy has changed");
}

/* --- what the oracle must see ----------------------------------------------------------------- */

static bool lie_is(struct actor_thread *t, const char *lie)
{
	return !strcmp(t->area->storm->lie, lie);
}

/* Long enough for an operation to begin and to end meanwhile. */
static void keep_up(unsigned int us)
{
	usleep(us * odp_env("ODP_SLOW", 1));
}

/* A block that changes half-way, and then is what the history does not say. */
static void lie_about_block(struct actor_thread *t, size_t block)
{
	unsigned char *where = t->area->addr + block * HISTORY_BLOCK;
	struct history *h = t->area->storm->history;
	const uint64_t old = history_stamp(h), new = history_stamp(h);
	unsigned char half[HISTORY_BLOCK];
	unsigned int event;

	event = history_begin(h, block, HISTORY_WRITE, old);
	history_fill(where, block, old);
	history_end(h, block, event, true);
	event = history_begin(h, block, HISTORY_CHANGE, new);
	if (lie_is(t, "torn")) {
		history_fill(half, block, new);
		memcpy(where, half, HISTORY_BLOCK / 2);
		keep_up(LIE_US);
		history_fill(where, block, new);
	} else if (lie_is(t, "foreign")) {
		history_fill(where, block + 1, new);
	}
	history_end(h, block, event, true);
	if (!lie_is(t, "torn"))
		keep_up(LIE_US);
}

static void lie(struct actor_thread *t)
{
	struct history *h = t->area->storm->history;
	const size_t page = storm_page(t->area->storm, t->rnd);
	const size_t block = page * HISTORY_BLOCKS;

	if (!actor_turn(t, page, 1))
		return;
	if (lie_is(t, "reached")) {
		history_bar(h, page, HISTORY_READS);
		history_barred(h, page);
		keep_up(LONG_LIE_US);
		history_lift(h, page);
		history_lifted(h, page);
	} else if (lie_is(t, "refused")) {
		no_access(at(t, page), ODP_PAGE);
		keep_up(LONG_LIE_US);
		all_access(at(t, page), ODP_PAGE);
	} else if (history_try_own(h, block)) {
		lie_about_block(t, block);
		history_disown(h, block);
	}
	actor_done(t);
}

const struct actor storm_actors[] = {
	{ .name = "map", .act = map_over },
	{ .name = "hole", .act = make_hole },
	{ .name = "move_in", .act = move_in },
	{ .name = "move_away", .act = move_away },
	{ .name = "dontneed", .act = give_back },
	{ .name = "free", .act = give_back_lazily },
	{ .name = "protect", .act = protect },
	{ .name = "prefetch", .act = prefetch },
	{ .name = "cpu_write", .act = cpu_write },
	{ .name = "cpu_read", .act = cpu_read },
	{ .name = "children", .act = have_child, .alone = true },
	{ .name = "lie", .act = lie, .alone = true },
	{ }
};
