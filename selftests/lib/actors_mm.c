// SPDX-License-Identifier: GPL-2.0
/* Who makes the storm by what the machine does to memory and processors, see storm.h */

#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "storm.h"

#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif

#define HUGE		512UL	/* pages */
#define MOVED		16	/* pages at a time */
#define LEFT_KIB	(200UL << 10)	/* where memory is short */
#define MOST_POISONED	24	/* pages of a life: they do not come back */

/* Whether it could be written; what is not there on this machine is found out before. */
static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool written = fd >= 0 && write(fd, text, strlen(text)) > 0;

	if (fd >= 0)
		close(fd);
	return written;
}

static unsigned char *at(struct actor_thread *t, size_t page)
{
	return t->area->addr + page * ODP_PAGE;
}

static size_t some_page(struct actor_thread *t)
{
	return storm_page(t->area->storm, t->rnd);
}

/* Pages that are given back in between leave holes to be compacted. */
static void compact(struct actor_thread *t)
{
	const size_t pages = 1024;
	char *holes = odp_map(pages * ODP_PAGE);

	(void)t;
	for (size_t i = 0; i < pages; i++)
		holes[i * ODP_PAGE] = 1;
	for (size_t i = 0; i < pages; i += 2)
		madvise(holes + i * ODP_PAGE, ODP_PAGE, MADV_DONTNEED);
	if (!write_file("/proc/sys/vm/compact_memory", "1"))
		odp_die(errno, "compact_memory");
	munmap(holes, pages * ODP_PAGE);
}

/* To one node, to the other one, some pages or all; the memory's policy stays. */
static void migrate(struct actor_thread *t)
{
	const unsigned int to = odp_random(t->rnd, 2);
	const unsigned long both = 3, from = 1UL << !to, there = 1UL << to;
	const size_t page = some_page(t) & ~(MOVED - 1UL);
	int nodes[MOVED], status[MOVED];
	void *pages[MOVED];

	for (size_t i = 0; i < MOVED; i++) {
		pages[i] = at(t, page + i);
		nodes[i] = to;
	}
	switch (odp_random(t->rnd, 4)) {
	case 0:
		syscall(SYS_migrate_pages, 0, sizeof(both) * 8, &from, &there);
		break;
	case 1:
		syscall(SYS_mbind, pages[0], MOVED * ODP_PAGE, MPOL_BIND, &there,
			sizeof(there) * 8, MPOL_MF_MOVE);
		syscall(SYS_mbind, pages[0], MOVED * ODP_PAGE, MPOL_DEFAULT, NULL, 0, 0);
		break;
	default:
		syscall(SYS_move_pages, 0, MOVED, pages, nodes, status, MPOL_MF_MOVE);
	}
}

/* ksmd and khugepaged are set to haste by who starts us. */
static void make_mergeable(struct actor_thread *t)
{
	const size_t page = some_page(t) & ~63UL;

	madvise(at(t, page), 64 * ODP_PAGE,
		odp_random(t->rnd, 4) ? MADV_MERGEABLE : MADV_UNMERGEABLE);
	usleep(2000);
}

static void make_huge(struct actor_thread *t)
{
	const size_t page = some_page(t) & ~(HUGE - 1);

	madvise(at(t, page), HUGE * ODP_PAGE, MADV_HUGEPAGE);
	usleep(5000);
}

static void split(struct actor_thread *t)
{
	const size_t page = some_page(t) & ~(HUGE - 1);
	char text[80];

	snprintf(text, sizeof(text), "%d,0x%lx,0x%lx", getpid(), (unsigned long)at(t, page),
		 (unsigned long)at(t, page + HUGE));
	write_file("/sys/kernel/debug/split_huge_pages", text);
	usleep(2000);
}

/* The data moves to another page. It fails for a page that is in use just now. */
static void soft_offline(struct actor_thread *t)
{
	if (t->limited < MOST_POISONED &&
	    !madvise(at(t, some_page(t)), ODP_PAGE, MADV_SOFT_OFFLINE))
		t->limited++;
	usleep(2000);
}

/* A page that is nobody else's: others must not lose theirs, nor all the page of zeros. */
static bool poison_pfn(unsigned char *addr)
{
	char text[40];
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (madvise(addr, ODP_PAGE, MADV_POPULATE_WRITE))
		return false;
	if (fd < 0 || pread(fd, &entry, sizeof(entry), (uintptr_t)addr / ODP_PAGE *
			    sizeof(entry)) != sizeof(entry))
		odp_die(errno, "pagemap");
	close(fd);
	if (!(entry >> 63))
		return false;
	snprintf(text, sizeof(text), "0x%lx", entry & ((1UL << 55) - 1));
	return write_file("/sys/kernel/debug/hwpoison/corrupt-pfn", text);
}

/*
 * A page is lost: from then on it cannot be reached, until another one takes its place.
 * What is beside it is left alone. The page that a pfn belongs to may have moved by the
 * time it is poisoned, so that only MADV_HWPOISON is sure to hit ours.
 */
static void poison(struct actor_thread *t)
{
	struct history *h = t->area->storm->history;
	const bool by_pfn = odp_random(t->rnd, 2);
	const size_t page = some_page(t);
	unsigned int events[HISTORY_BLOCKS];
	bool hit;

	usleep(20000);
	if (t->limited >= MOST_POISONED || !actor_turn(t, page, 1))
		return;
	for (size_t i = 0; i < HISTORY_BLOCKS; i++)
		events[i] = history_begin(h, page * HISTORY_BLOCKS + i, HISTORY_CHANGE, 0);
	history_bar(h, page, HISTORY_READS | HISTORY_WRITES);
	hit = by_pfn ? poison_pfn(at(t, page)) :
		       !madvise(at(t, page), ODP_PAGE, MADV_HWPOISON);
	if (hit && !by_pfn)
		history_barred(h, page);
	t->limited += hit;
	usleep(5000);
	history_lift(h, page);
	if (mmap(at(t, page), ODP_PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		odp_die(errno, "mmap");
	history_lifted(h, page);
	for (size_t i = 0; i < HISTORY_BLOCKS; i++)
		history_end(h, page * HISTORY_BLOCKS + i, events[i], true);
	actor_done(t);
}

/* More memory than a limit allows is wanted at the same time. */
static void populate(struct actor_thread *t)
{
	const size_t page = some_page(t) & ~255UL;

	madvise(at(t, page), 256 * ODP_PAGE, MADV_POPULATE_WRITE);
	usleep(2000);
}

static unsigned long free_kib(void)
{
	FILE *file = fopen("/proc/meminfo", "r");
	unsigned long kib = 0;
	char line[100];

	while (file && !kib && fgets(line, sizeof(line), file))
		sscanf(line, "MemFree: %lu", &kib);
	if (file)
		fclose(file);
	return kib;
}

/*
 * All memory but a little is reserved for huge pages, which nobody touches, so that
 * kswapd looks for more; and is given back.
 */
static void reserve(struct actor_thread *t)
{
	const unsigned long kib = free_kib();
	char text[40];

	if (kib < LEFT_KIB)
		odp_die(0, "there is no memory to reserve");
	snprintf(text, sizeof(text), "%lu", (kib - LEFT_KIB) / 2048);
	write_file("/proc/sys/vm/nr_hugepages", text);
	usleep(odp_random(t->rnd, 200000));
	write_file("/proc/sys/vm/nr_hugepages", "0");
	usleep(odp_random(t->rnd, 200000));
}

/* All but the first processor come and go. */
static void unplug(struct actor_thread *t)
{
	const char *online = "/sys/devices/system/cpu/cpu1/online";

	if (!write_file(online, "0"))
		odp_die(errno, "%s", online);
	usleep(odp_random(t->rnd, 200000));
	if (!write_file(online, "1"))
		odp_die(errno, "%s", online);
	usleep(odp_random(t->rnd, 200000));
}

/* --- what any process may ask for ------------------------------------------------------------- */

static const int advices[] = {
	MADV_PAGEOUT, MADV_PAGEOUT, MADV_COLD, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_COLLAPSE,
	MADV_COLLAPSE, MADV_MERGEABLE, MADV_UNMERGEABLE, MADV_WILLNEED, MADV_POPULATE_READ,
	MADV_POPULATE_WRITE, MADV_RANDOM, MADV_NORMAL,
};

/* Over a hole, or where memory is short, it may fail. */
static void advise(struct actor_thread *t)
{
	const int advice = advices[odp_random(t->rnd, sizeof(advices) / sizeof(advices[0]))];
	size_t page = storm_page(t->area->storm, t->rnd), count = 1 + odp_random(t->rnd, 64);
	const bool huge = advice == MADV_COLLAPSE || advice == MADV_HUGEPAGE ||
			  advice == MADV_NOHUGEPAGE || advice == MADV_UNMERGEABLE;

	if (huge) {
		page -= page % HUGE;
		count = HUGE;
	} else if (count > t->area->storm->pages - page) {
		count = t->area->storm->pages - page;
	}
	madvise(at(t, page), count * ODP_PAGE, advice);
}

static void page_out(struct actor_thread *t)
{
	const size_t page = storm_page(t->area->storm, t->rnd) & ~15UL;

	madvise(at(t, page), 16 * ODP_PAGE, MADV_PAGEOUT);
}

const struct actor pressure_actors[] = {
	{ .name = "advise", .act = advise },
	{ .name = "pageout", .act = page_out, .counter = "pswpout" },
	{ .name = "compact", .act = compact, .alone = true, .counter = "pgmigrate_success" },
	{ .name = "migrate", .act = migrate, .counter = "pgmigrate_success" },
	{ .name = "merge", .act = make_mergeable, .counter = "cow_ksm" },
	{ .name = "huge", .act = make_huge, .counter = "thp_collapse_alloc" },
	{ .name = "split", .act = split, .alone = true, .counter = "thp_split_page" },
	{ .name = "soft_offline", .act = soft_offline, .alone = true },
	{ .name = "populate", .act = populate },
	{ .name = "reserve", .act = reserve, .alone = true, .counter = "pgscan_kswapd" },
	{ .name = "poison", .act = poison, .alone = true },
	{ .name = "unplug", .act = unplug, .alone = true },
	{ }
};
