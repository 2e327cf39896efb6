// SPDX-License-Identifier: GPL-2.0
/*
 * A prefetch that fails must leave no page behind that was freed meanwhile.
 *
 * One thread prefetches a range with a hole at its end, which fails, while
 * another gives parts of the range back with MADV_DONTNEED. RDMA READs of those
 * parts must then see zeros.
 *
 * prefetch_stale ROUNDS [ENOUGH]
 *   ENOUGH   stop when that many stale pages were seen
 */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "lib/odp.h"

#define PAGES	1024
#define PROBE	64	/* bytes read of a page */
#define DROP	256	/* pages given back at most */

struct test {
	struct odp o;
	struct ibv_mr *mr;
	pthread_barrier_t barrier;
	bool stop;
	uint64_t took;			/* nanoseconds of a prefetch */
	unsigned long prefetched;	/* rounds whose prefetch did not fail */
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void *prefetch(void *arg)
{
	struct test *t = arg;
	uint64_t start;
	int err;

	for (;;) {
		pthread_barrier_wait(&t->barrier);
		if (t->stop)
			return NULL;
		start = now_ns();
		err = odp_prefetch(&t->o, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE,
				   t->mr, 0, (PAGES + 1) * ODP_PAGE);
		t->took = (7 * t->took + (now_ns() - start)) / 8 + 1;
		if (err != EFAULT)
			t->prefetched++;
		pthread_barrier_wait(&t->barrier);
	}
}

static void fill(unsigned char *addr, size_t first, size_t count)
{
	for (size_t i = first; i < first + count; i++)
		odp_stamp(addr + i * ODP_PAGE, PROBE, i, 1);
}

/* Gives pages back, at a moment within the time that a prefetch takes. */
static void drop(unsigned char *addr, size_t count, uint64_t delay)
{
	uint64_t end = now_ns() + delay;

	while (now_ns() < end)
		;
	if (madvise(addr, count * ODP_PAGE, MADV_DONTNEED))
		odp_die(errno, "MADV_DONTNEED");
}

static size_t count_stale(struct test *t, struct ibv_mr *probe, size_t first,
			  size_t count)
{
	static const unsigned char zeros[PROBE];
	const unsigned char *seen = probe->addr;
	enum ibv_wc_status status;
	size_t stale = 0;

	memset(probe->addr, 0xff, PAGES * PROBE);
	status = odp_rdma_pages(&t->o, IBV_WR_RDMA_READ, probe, PROBE, t->mr,
				first, count, PROBE);
	if (status)
		odp_die(0, "RDMA READ: %s", ibv_wc_status_str(status));
	for (size_t i = first; i < first + count; i++)
		if (memcmp(seen + i * PROBE, zeros, PROBE))
			stale++;
	return stale;
}

int main(int argc, char **argv)
{
	unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 0) : 1000;
	unsigned long enough = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;
	unsigned long round, stale = 0, read = 0;
	unsigned short rnd[3];
	struct ibv_mr *probe;
	struct test t = { .took = 100000 };
	unsigned char *addr;
	pthread_t thread;

	odp_seed(rnd);
	odp_open(&t.o);
	addr = odp_map((PAGES + 1) * ODP_PAGE);
	munmap(addr + PAGES * ODP_PAGE, ODP_PAGE);
	fill(addr, 0, PAGES);
	t.mr = odp_reg(&t.o, addr, (PAGES + 1) * ODP_PAGE,
		       ODP_RW | IBV_ACCESS_ON_DEMAND);
	probe = odp_reg(&t.o, odp_map(PAGES * PROBE), PAGES * PROBE,
			IBV_ACCESS_LOCAL_WRITE);
	pthread_barrier_init(&t.barrier, NULL, 2);
	if (pthread_create(&thread, NULL, prefetch, &t))
		odp_die(0, "pthread_create failed");

	for (round = 0; round < rounds; round++) {
		size_t count = 1 + odp_random(rnd, DROP);
		size_t first = odp_random(rnd, PAGES - count + 1);
		unsigned char *part = addr + first * ODP_PAGE;

		pthread_barrier_wait(&t.barrier);
		drop(part, count, odp_random(rnd, t.took));
		pthread_barrier_wait(&t.barrier);

		stale += count_stale(&t, probe, first, count);
		read += count;
		/* Clears what is stale, for the next round */
		madvise(part, count * ODP_PAGE, MADV_DONTNEED);
		fill(addr, first, count);
		if (enough && stale >= enough) {
			round++;
			break;
		}
	}
	t.stop = true;
	pthread_barrier_wait(&t.barrier);
	pthread_join(thread, NULL);
	if (t.prefetched)
		odp_die(0, "%lu prefetches into a hole did not fail with EFAULT",
			t.prefetched);
	printf("%lu stale of %lu pages read in %lu rounds\n", stale, read, round);
	return stale ? ODP_DEFECT : ODP_OK;
}
