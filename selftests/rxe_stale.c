// SPDX-License-Identifier: GPL-2.0
/*
 * Memory is taken away while a fault or a prefetch brings it in: afterwards RDMA
 * has to see, and to write, what is there now.
 *
 * rxe_stale fault|prefetch dontneed|munmap|mremap ROUNDS PAGES [ENOUGH]
 *   fault      RDMA READs of a region of PAGES pages bring it in
 *   prefetch   synchronous prefetches do, every other one fails at its end
 *   ENOUGH     stop when so many stale pages were seen
 *
 * A sweep over the region races one removal of up to half of it. Then each page of
 * that part is read by RDMA, which has to give zeros, and written by RDMA, which
 * the CPU has to see. Each of these pages is a round.
 */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "lib/odp.h"
#include "lib/qp.h"

#define PROBE	64	/* bytes of a page that are looked at */
#define OLD	1
#define NEW	2

struct test {
	struct odp device, racer;
	unsigned char *addr, *parked;
	size_t pages;
	struct ibv_mr *mr, *probe, *sweep;
	bool prefetch;
	char how;			/* d, m, or R for mremap */
	pthread_barrier_t barrier;
	unsigned long sweeps;
	bool stop;
	uint64_t took;			/* nanoseconds of a sweep that is not held up */
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void sweep(struct test *t)
{
	enum ibv_wc_status status;
	size_t hole = t->sweeps % 2;
	int err;

	if (!t->prefetch) {
		status = odp_rdma_pages(&t->racer, IBV_WR_RDMA_READ, t->sweep,
					PROBE, t->mr, 0, t->pages, PROBE);
		if (status)
			odp_die(0, "RDMA READ: %s", ibv_wc_status_str(status));
		return;
	}
	err = odp_prefetch(&t->device, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE,
			   t->mr, 0, (t->pages + hole) * ODP_PAGE);
	if (hole && err != EFAULT)
		odp_die(err, "a prefetch that reaches a hole");
	/* The prefetch may meet what munmap leaves for a moment */
	if (!hole && err && !(err == EFAULT && t->how == 'm'))
		odp_die(err, "a prefetch");
}

static void *race(void *arg)
{
	struct test *t = arg;
	uint64_t start;

	for (;;) {
		pthread_barrier_wait(&t->barrier);
		if (t->stop)
			return NULL;
		start = now_ns();
		sweep(t);
		start = now_ns() - start;
		/* The fast ones count: others had no processor for a while */
		t->took = start < t->took ? start + 1 : t->took + t->took / 64;
		pthread_barrier_wait(&t->barrier);
	}
}

static void map_again(unsigned char *addr, size_t len)
{
	if (mmap(addr, len, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != addr)
		odp_die(errno, "mmap");
	madvise(addr, len, MADV_NOHUGEPAGE);
}

/* Zeros are there afterwards. RDMA cannot go on over a hole, so it meets none. */
static void take_away(struct test *t, size_t first, size_t count)
{
	unsigned char *part = t->addr + first * ODP_PAGE;
	size_t len = count * ODP_PAGE;

	switch (t->how) {
	case 'd':
		if (madvise(part, len, MADV_DONTNEED))
			odp_die(errno, "MADV_DONTNEED");
		break;
	case 'm':
		if (t->prefetch && munmap(part, len))
			odp_die(errno, "munmap");
		map_again(part, len);
		break;
	default:
		if (mremap(part, len, len, MREMAP_MAYMOVE | MREMAP_FIXED |
			   MREMAP_DONTUNMAP, t->parked) != t->parked)
			odp_die(errno, "mremap");
	}
}

static void fill(struct test *t, size_t first, size_t count)
{
	for (size_t i = first; i < first + count; i++)
		odp_stamp(t->addr + i * ODP_PAGE, PROBE, i, OLD);
}

/* RDMA READ of the part: what is not zero is not what is there. */
static size_t stale_reads(struct test *t, size_t first, size_t count)
{
	static const unsigned char zeros[PROBE];
	const unsigned char *seen = t->probe->addr;
	enum ibv_wc_status status;
	size_t stale = 0;

	memset(t->probe->addr, 0xff, t->pages * PROBE);
	status = odp_rdma_pages(&t->device, IBV_WR_RDMA_READ, t->probe, PROBE,
				t->mr, first, count, PROBE);
	if (status)
		odp_die(0, "RDMA READ: %s", ibv_wc_status_str(status));
	for (size_t i = first; i < first + count; i++)
		stale += memcmp(seen + i * PROBE, zeros, PROBE) != 0;
	return stale;
}

/* RDMA WRITE to the part: the CPU sees it, and it is nowhere else. */
static size_t stale_writes(struct test *t, size_t first, size_t count)
{
	enum ibv_wc_status status;
	size_t stale = 0;

	for (size_t i = first; i < first + count; i++)
		odp_stamp((char *)t->probe->addr + i * PROBE, PROBE, i, NEW);
	status = odp_rdma_pages(&t->device, IBV_WR_RDMA_WRITE, t->probe, PROBE,
				t->mr, first, count, PROBE);
	if (status)
		odp_die(0, "RDMA WRITE: %s", ibv_wc_status_str(status));
	for (size_t i = first; i < first + count; i++)
		stale += !odp_stamped(t->addr + i * ODP_PAGE, PROBE, i, NEW) ||
			 (t->how == 'R' &&
			  !odp_stamped(t->parked + (i - first) * ODP_PAGE,
				       PROBE, i, OLD));
	return stale;
}

static void open_test(struct test *t)
{
	const size_t len = (t->pages + 1) * ODP_PAGE;

	odp_open(&t->device);
	qp_open(&t->racer, &t->device,
		(struct qp_options){ .type = IBV_QPT_RC, .sges = 1 });
	t->addr = odp_map(len);
	t->parked = odp_map(len);
	/* Not munmap: what is mapped next would come there */
	mprotect(t->addr + t->pages * ODP_PAGE, ODP_PAGE, PROT_NONE);
	fill(t, 0, t->pages);
	t->mr = odp_reg(&t->device, t->addr, len, ODP_RW | IBV_ACCESS_ON_DEMAND);
	t->probe = odp_reg(&t->device, odp_map(t->pages * PROBE),
			   t->pages * PROBE, IBV_ACCESS_LOCAL_WRITE);
	t->sweep = odp_reg(&t->device, odp_map(t->pages * PROBE),
			   t->pages * PROBE, IBV_ACCESS_LOCAL_WRITE);
	pthread_barrier_init(&t->barrier, NULL, 2);
}

int main(int argc, char **argv)
{
	unsigned long rounds, enough, stale = 0, done = 0;
	struct test t = { .took = 10000000 };
	unsigned short rnd[3];
	size_t most;
	pthread_t thread;

	if (argc < 5)
		odp_die(0, "usage: %s fault|prefetch dontneed|munmap|mremap ROUNDS PAGES [ENOUGH]",
			argv[0]);
	t.prefetch = !strcmp(argv[1], "prefetch");
	t.how = strcmp(argv[2], "mremap") ? *argv[2] : 'R';
	rounds = strtoul(argv[3], NULL, 0);
	t.pages = strtoul(argv[4], NULL, 0);
	/* Many would cost time in which nothing races */
	most = t.pages / 2 < 128 ? t.pages / 2 : 128;
	enough = argc > 5 ? strtoul(argv[5], NULL, 0) : 0;
	odp_seed(rnd);
	open_test(&t);
	if (pthread_create(&thread, NULL, race, &t))
		odp_die(0, "pthread_create failed");

	while (done < rounds && !(enough && stale >= enough)) {
		size_t count = 1 + odp_random(rnd, most);
		size_t first = odp_random(rnd, t.pages - count + 1);
		uint64_t end;

		t.sweeps++;
		pthread_barrier_wait(&t.barrier);
		end = now_ns() + odp_random(rnd, t.took);
		while (now_ns() < end)
			;
		take_away(&t, first, count);
		pthread_barrier_wait(&t.barrier);
		stale += stale_reads(&t, first, count);
		stale += stale_writes(&t, first, count);
		done += count;
		/* Clears what is stale, and is not in memory, for the next round */
		madvise(t.addr + first * ODP_PAGE, count * ODP_PAGE,
			MADV_DONTNEED);
		fill(&t, first, count);
	}
	t.stop = true;
	pthread_barrier_wait(&t.barrier);
	pthread_join(thread, NULL);
	printf("%lu rounds in %lu sweeps, %lu stale pages\n", done, t.sweeps,
	       stale);
	return stale ? ODP_DEFECT : ODP_OK;
}
