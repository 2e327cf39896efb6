// SPDX-License-Identifier: GPL-2.0
/*
 * Memory changes hands while the device works on it: what it reads was there at the
 * time, what it writes is there or the memory has changed, and nothing else has.
 *
 * edu_storm SECONDS
 *
 * Sources and targets are pages with a history: thread by thread they are replaced,
 * emptied, unmapped and protected, while copiers have the device copy sources to
 * pages of their own and those to targets. A canary watches pages that come from
 * where the storm's pages go.
 */

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/edu.h"

#define PAGES		24	/* of the sources, and of the targets */
#define COPIERS		3
#define HISTORY		256	/* changes that a copy cannot outlast */
#define CANARY_PAGES	64
#define SHOWN		5

/* A page from a change to the next. */
struct state {
	uint64_t stamp;		/* 0: zeros */
	bool barred;		/* the device has no access */
};

struct page {
	struct state history[HISTORY];
	atomic_ulong begun, done;	/* the last change that has begun, ended */
};

struct area {
	unsigned char *addr;
	struct page pages[PAGES];
};

static struct area sources, targets;
static int fd;
static uint32_t all;
static atomic_bool stopped;
static atomic_ulong last_stamp, wrongs, changes, children, canaries;
/* Held while a page is unmapped, or mmap() might put something else in its place. */
static pthread_mutex_t holes = PTHREAD_MUTEX_INITIALIZER;
static atomic_ulong right_reads, right_writes, errors;

static void wrong(const char *what, size_t page, const char *why)
{
	if (atomic_fetch_add(&wrongs, 1) < SHOWN)
		printf("%s %zu: %s\n", what, page, why);
}

static bool zeros(const unsigned char *at)
{
	for (size_t i = 0; i < ODP_PAGE; i++)
		if (at[i])
			return false;
	return true;
}

static bool holds(const unsigned char *at, size_t page, uint64_t stamp)
{
	return stamp ? odp_stamped(at, ODP_PAGE, page, stamp) : zeros(at);
}

/* Our own memory, with an error in place of a signal. */
static bool look(const void *at, void *copy)
{
	struct iovec local = { copy, ODP_PAGE }, remote = { (void *)at, ODP_PAGE };

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == ODP_PAGE;
}

/* --- the storm ------------------------------------------------------------------- */

static unsigned char *map(size_t pages)
{
	unsigned char *addr;

	pthread_mutex_lock(&holes);
	addr = odp_map(pages * ODP_PAGE);
	pthread_mutex_unlock(&holes);
	return addr;
}

static struct state begin(struct page *p, struct state next)
{
	const unsigned long n = atomic_load(&p->begun);
	struct state now = p->history[n % HISTORY];

	p->history[(n + 1) % HISTORY] = next;
	atomic_store(&p->begun, n + 1);
	return now;
}

static void end(struct page *p)
{
	atomic_store(&p->done, atomic_load(&p->begun));
	atomic_fetch_add(&changes, 1);
}

/* A page with a stamp takes its place at once. */
static void replace(struct page *p, unsigned char *at, size_t page)
{
	const uint64_t stamp = atomic_fetch_add(&last_stamp, 1) + 1;
	unsigned char *fresh = map(1);

	odp_stamp(fresh, ODP_PAGE, page, stamp);
	begin(p, (struct state){ stamp, false });
	edu_must(mremap(fresh, ODP_PAGE, ODP_PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at) !=
	     at, "mremap");
	end(p);
}

static void empty(struct page *p, unsigned char *at, bool by_mmap)
{
	begin(p, (struct state){ 0, false });
	if (by_mmap)
		edu_put(at, ODP_PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	else
		edu_must(madvise(at, ODP_PAGE, MADV_DONTNEED), "MADV_DONTNEED");
	end(p);
}

static void unmap_for_a_while(struct page *p, unsigned char *at, unsigned int us)
{
	pthread_mutex_lock(&holes);
	begin(p, (struct state){ 0, true });
	edu_must(munmap(at, ODP_PAGE), "munmap");
	end(p);
	usleep(us);
	empty(p, at, true);
	pthread_mutex_unlock(&holes);
}

/* The data stays; protecting for reading bars the device only from writing. */
static void protect_for_a_while(struct page *p, unsigned char *at, int prot,
				unsigned int us)
{
	struct state now = p->history[atomic_load(&p->begun) % HISTORY];
	struct state barred = { now.stamp, true };

	begin(p, barred);
	edu_must(mprotect(at, ODP_PAGE, prot), "mprotect");
	end(p);
	usleep(us);
	begin(p, now);
	edu_must(mprotect(at, ODP_PAGE, PROT_READ | PROT_WRITE), "mprotect");
	end(p);
}

static void change(struct area *a, size_t i, unsigned short rnd[3])
{
	unsigned char *at = a->addr + i * ODP_PAGE;
	struct page *p = &a->pages[i];
	const unsigned int us = odp_random(rnd, 150000);

	switch (odp_random(rnd, 8)) {
	case 0:
		empty(p, at, false);
		break;
	case 1:
		empty(p, at, true);
		break;
	case 2:
		unmap_for_a_while(p, at, us);
		break;
	case 3:
		protect_for_a_while(p, at, PROT_NONE, us);
		break;
	case 4:
		protect_for_a_while(p, at, PROT_READ, us);
		break;
	default:
		replace(p, at, i);
	}
}

/* Nobody writes to a source but this: what is not barred is what it was. */
static void check_source(size_t i)
{
	struct page *p = &sources.pages[i];
	struct state now = p->history[atomic_load(&p->begun) % HISTORY];
	unsigned char seen[ODP_PAGE];

	if (!look(sources.addr + i * ODP_PAGE, seen) || !holds(seen, i, now.stamp))
		wrong("source", i, "something has written to it");
}

static void *storm(void *arg)
{
	unsigned short rnd[3] = { 1, (uintptr_t)arg, atomic_load(&last_stamp) };
	struct area *a = arg;

	while (!atomic_load(&stopped)) {
		size_t i = odp_random(rnd, PAGES);

		if (a == &sources)
			check_source(i);
		change(a, i, rnd);
		usleep(odp_random(rnd, 40000));
	}
	return NULL;
}

static void *fork_often(void *arg)
{
	(void)arg;
	while (!atomic_load(&stopped)) {
		pid_t child = fork();

		edu_must(child < 0, "fork");
		if (!child) {
			usleep(50000);
			_exit(0);
		}
		usleep(20000);
		edu_must(waitpid(child, NULL, 0) != child, "waitpid");
		atomic_fetch_add(&children, 1);
		usleep(250000);
	}
	return NULL;
}

static void *watch_canary(void *arg)
{
	(void)arg;
	while (!atomic_load(&stopped)) {
		unsigned char *at = map(CANARY_PAGES);

		for (size_t i = 0; i < CANARY_PAGES; i++)
			odp_stamp(at + i * ODP_PAGE, ODP_PAGE, i, 1);
		usleep(130000);
		for (size_t i = 0; i < CANARY_PAGES; i++)
			if (!odp_stamped(at + i * ODP_PAGE, ODP_PAGE, i, 1))
				wrong("canary", i, "something has written to it");
		munmap(at, CANARY_PAGES * ODP_PAGE);
		atomic_fetch_add(&canaries, 1);
	}
	return NULL;
}

/* --- the device's work -------------------------------------------------------------- */

struct copier {
	size_t index;
	unsigned short rnd[3];
	unsigned char *own;	/* a page of its own */
	uint32_t handle;
};

/* Whether a state of the page from a change on is one of these. */
static bool was(struct page *p, unsigned long from, size_t page, int err,
		const unsigned char *seen)
{
	const unsigned long to = atomic_load(&p->begun);

	if (to - from >= HISTORY - 1)
		odp_die(0, "%lu changes of a page during one copy", to - from);
	for (unsigned long n = from; n <= to; n++) {
		const struct state s = p->history[n % HISTORY];

		if (err ? s.barred : holds(seen, page, s.stamp))
			return true;
	}
	return false;
}

/* Barred from writing only, a source can be read: an error is no must. */
static void read_source(struct copier *c)
{
	const size_t i = odp_random(c->rnd, PAGES);
	struct page *p = &sources.pages[i];
	const unsigned long from = atomic_load(&p->done);
	int err;

	memset(c->own, 0xee, ODP_PAGE);
	err = edu_copy(fd, all, sources.addr + i * ODP_PAGE, c->handle, c->own,
		       ODP_PAGE);
	if (!was(p, from, i, err, c->own))
		wrong("source", i, err ? strerror(err) : "read wrong data");
	atomic_fetch_add(err ? &errors : &right_reads, 1);
}

/* Of those that no other copier writes to. */
static void write_target(struct copier *c)
{
	const size_t i = odp_random(c->rnd, PAGES / COPIERS) * COPIERS + c->index;
	const uint64_t stamp = atomic_fetch_add(&last_stamp, 1) + 1;
	unsigned char *at = targets.addr + i * ODP_PAGE, seen[ODP_PAGE];
	struct page *p = &targets.pages[i];
	const unsigned long from = atomic_load(&p->done);
	bool visible;
	int err;

	odp_stamp(c->own, ODP_PAGE, i, stamp);
	err = edu_copy(fd, c->handle, c->own, all, at, ODP_PAGE);
	visible = look(at, seen);
	if (err) {
		if (!was(p, from, i, err, NULL))
			wrong("target", i, strerror(err));
		atomic_fetch_add(&errors, 1);
	} else if (atomic_load(&p->begun) == from) {
		if (!visible || !odp_stamped(seen, ODP_PAGE, i, stamp))
			wrong("target", i, "written data is not there");
		atomic_fetch_add(&right_writes, 1);
	}
}

static void *copy(void *arg)
{
	struct copier *c = arg;

	while (!atomic_load(&stopped)) {
		if (odp_random(c->rnd, 2))
			read_source(c);
		else
			write_target(c);
	}
	return NULL;
}

/* ------------------------------------------------------------------------------------- */

static void start(pthread_t *thread, void *(*run)(void *), void *arg)
{
	if (pthread_create(thread, NULL, run, arg))
		odp_die(0, "pthread_create");
}

int main(int argc, char **argv)
{
	struct copier copiers[COPIERS];
	pthread_t threads[COPIERS + 4];
	unsigned short rnd[3];
	double end, last;
	int n = 0;

	if (argc != 2)
		odp_die(0, "usage: %s SECONDS", argv[0]);
	odp_seed(rnd);
	fd = edu_open();
	all = edu_register_all(fd);
	sources.addr = odp_map(PAGES * ODP_PAGE);
	targets.addr = odp_map(PAGES * ODP_PAGE);
	start(&threads[n++], storm, &sources);
	start(&threads[n++], storm, &targets);
	start(&threads[n++], fork_often, NULL);
	start(&threads[n++], watch_canary, NULL);
	for (size_t i = 0; i < COPIERS; i++) {
		struct copier *c = &copiers[i];

		*c = (struct copier){ .index = i, .own = map(1),
				      .rnd = { nrand48(rnd), rnd[1], i } };
		c->handle = edu_register(fd, c->own, ODP_PAGE);
		start(&threads[n++], copy, c);
	}
	end = edu_seconds() + strtod(argv[1], NULL);
	last = end + strtod(argv[1], NULL);
	/* DMAs that meet a hole are few */
	while (edu_seconds() < end || (edu_seconds() < last && !atomic_load(&errors)))
		edu_sleep(0.1);
	atomic_store(&stopped, true);
	while (n > 0)
		pthread_join(threads[--n], NULL);
	printf("%lu changes, %lu children, %lu canaries\n", changes, children,
	       canaries);
	printf("%lu right reads, %lu right writes, %lu errors, %lu wrong\n",
	       right_reads, right_writes, errors, wrongs);
	if (wrongs)
		return ODP_DEFECT;
	return right_reads && right_writes && errors ? ODP_OK : ODP_ERROR;
}
