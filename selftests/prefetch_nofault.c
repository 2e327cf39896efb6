// SPDX-License-Identifier: GPL-2.0
/*
 * A prefetch without faults looks at pages while they are swapped out. Before it
 * enters what it saw, RDMA swaps them in and writes them. Then they are swapped
 * out again: the writes must be there.
 *
 * prefetch_nofault ROUNDS SECONDS
 *
 * The prefetch is done by an idle-class thread, and threads that spin keep it
 * from its CPU for a while in the middle of each round.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "lib/odp.h"

#define PAGES	4096	/* of the region: so many are looked at */
#define TARGETS	8	/* of these are written */
#define SWAP_OUT_S 20	/* seconds to wait for them to be in swap */

static struct odp o;
static struct ibv_mr *region, *source, *sink;
static sem_t go, done, spin;
static atomic_bool spinning;
static int prefetch_error;

static void *spin_thread(void *unused)
{
	(void)unused;
	for (;;) {
		sem_wait(&spin);
		while (atomic_load(&spinning))
			;
	}
	return NULL;
}

static void *prefetch_thread(void *unused)
{
	struct sched_param param = { 0 };

	(void)unused;
	if (sched_setscheduler(0, SCHED_IDLE, &param))
		odp_die(errno, "SCHED_IDLE");
	for (;;) {
		sem_wait(&go);
		prefetch_error =
			odp_prefetch(&o, IBV_ADVISE_MR_ADVICE_PREFETCH_NO_FAULT,
				     region, 0, PAGES * ODP_PAGE);
		sem_post(&done);
	}
	return NULL;
}

static void start(void *(*thread)(void *))
{
	pthread_t id;

	errno = pthread_create(&id, NULL, thread, NULL);
	if (errno)
		odp_die(errno, "pthread_create");
}

/* Whether all targets are in swap, and not just unmapped. */
static bool swapped_out(void)
{
	static int pagemap = -1;
	uint64_t entries[TARGETS];
	size_t count = 0;

	if (pagemap < 0)
		pagemap = open("/proc/self/pagemap", O_RDONLY);
	if (pread(pagemap, entries, sizeof(entries),
		  (uintptr_t)region->addr / ODP_PAGE * sizeof(*entries)) !=
	    sizeof(entries))
		odp_die(errno, "pagemap");
	for (size_t i = 0; i < TARGETS; i++)
		count += entries[i] >> 62 & 1;
	return count == TARGETS;
}

/*
 * Pages that wait in a CPU's list for the LRU cannot be reclaimed: compaction drains
 * it. And the disk takes its time.
 */
static bool swap_out(void)
{
	time_t end = time(NULL) + SWAP_OUT_S;

	for (int i = 0; time(NULL) < end; i++) {
		madvise(region->addr, TARGETS * ODP_PAGE, MADV_PAGEOUT);
		if (swapped_out())
			return true;
		usleep(100 * i);
		if (i % 2) {
			int fd = open("/proc/sys/vm/compact_memory", O_WRONLY);

			if (fd < 0 || write(fd, "1", 1) != 1)
				odp_die(errno, "compact_memory");
			close(fd);
		}
	}
	return false;
}

static void stamp_targets(uint64_t round)
{
	for (size_t i = 0; i < TARGETS; i++) {
		odp_stamp((char *)region->addr + i * ODP_PAGE, o.chunk, i,
			  2 * round);
		odp_stamp((char *)source->addr + i * ODP_PAGE, o.chunk, i,
			  2 * round + 1);
	}
}

/* Reading first makes the pages present, clean, and writable. */
static void write_targets(void)
{
	for (size_t i = 0; i < TARGETS; i++) {
		struct odp_side target = odp_at(region, i * ODP_PAGE);

		if (odp_rdma(&o, IBV_WR_RDMA_READ, odp_at(sink, 0), target,
			     o.chunk) != IBV_WC_SUCCESS ||
		    odp_rdma(&o, IBV_WR_RDMA_WRITE,
			     odp_at(source, i * ODP_PAGE), target,
			     o.chunk) != IBV_WC_SUCCESS)
			odp_die(0, "an RDMA transfer failed");
	}
}

/* One round: how many writes are lost. */
static unsigned long race(uint64_t round, unsigned short seed[3])
{
	unsigned long lost = 0;

	stamp_targets(round);
	if (!swap_out())
		odp_die(0, "the pages are not swapped out");

	sem_post(&go);
	usleep(odp_random(seed, 1200));
	atomic_store(&spinning, true);
	sem_post(&spin);
	sem_post(&spin);
	write_targets();
	atomic_store(&spinning, false);
	sem_wait(&done);
	if (prefetch_error)
		odp_die(prefetch_error, "prefetch");

	if (!swap_out())
		odp_die(0, "the pages are not swapped out");
	for (size_t i = 0; i < TARGETS; i++)
		lost += !odp_stamped((char *)region->addr + i * ODP_PAGE,
				     o.chunk, i, 2 * round + 1);
	return lost;
}

int main(int argc, char **argv)
{
	unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 0) : 1000;
	time_t end = time(NULL) + (argc > 2 ? strtol(argv[2], NULL, 0) : 30);
	unsigned long lost = 0, round;
	unsigned short seed[3];
	char *memory = odp_map(PAGES * ODP_PAGE);

	odp_seed(seed);
	odp_open(&o);
	for (size_t i = 0; i < PAGES; i++)
		memory[i * ODP_PAGE] = 1;
	region = odp_reg(&o, memory, PAGES * ODP_PAGE,
			 ODP_RW | IBV_ACCESS_ON_DEMAND);
	source = odp_reg(&o, odp_map(TARGETS * ODP_PAGE), TARGETS * ODP_PAGE,
			 ODP_RW);
	sink = odp_reg(&o, odp_map(ODP_PAGE), ODP_PAGE, ODP_RW);
	sem_init(&go, 0, 0);
	sem_init(&done, 0, 0);
	sem_init(&spin, 0, 0);
	start(prefetch_thread);
	start(spin_thread);
	start(spin_thread);

	for (round = 1; round <= rounds && time(NULL) < end; round++)
		lost += race(round, seed);
	printf("%lu of %lu writes lost\n", lost, (round - 1) * TARGETS);
	return lost ? ODP_DEFECT : ODP_OK;
}
