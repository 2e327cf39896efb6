// SPDX-License-Identifier: GPL-2.0
/*
 * Faults in one window of a region while another thread makes a storm of
 * invalidations: in another window of the region or, as the control that costs
 * the process the same, in memory that is not registered. For "anew", the faults'
 * own window is empty before each of them, else half of it stays mapped.
 */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"

#define REGION		(64 * MIB)
#define STORM_OFFSET	(32 * MIB)
#define HALF		(BENCH_WINDOW / 2)
#define SLICES		24
#define COUNT		6	/* messages in a slice */

enum kind { CALM, DONTNEED, PROTECT };

struct storm {
	atomic_uintptr_t where;		/* 0: calm */
	atomic_int kind;
	atomic_uint turns;
	atomic_bool over;
};

static void turn(int kind, char *where)
{
	int err;

	*(volatile char *)where = 1;
	if (kind == DONTNEED)
		err = madvise(where, HALF, MADV_DONTNEED);
	else
		err = mprotect(where, HALF, PROT_READ) ||
		      mprotect(where, HALF, PROT_READ | PROT_WRITE);
	if (err)
		odp_die(errno, "the storm");
}

static void *storm_thread(void *arg)
{
	struct storm *s = arg;

	while (!s->over) {
		char *where = (char *)s->where;

		if (where)
			turn(s->kind, where);
		else
			usleep(100);
		s->turns++;
	}
	return NULL;
}

/* When this returns, the storm is as wanted, and nothing of the last one is left. */
static void storm_set(struct storm *s, int kind, char *where)
{
	unsigned int turns;

	s->where = 0;
	for (turns = s->turns; s->turns - turns < 2;)
		sched_yield();
	s->kind = kind;
	s->where = (uintptr_t)where;
	for (turns = s->turns; where && s->turns - turns < 2;)
		sched_yield();
}

static double faults_by_rdma(struct bench *b, struct bench_load *load)
{
	double sum = 0;

	for (int i = 0; i < COUNT; i++) {
		if (madvise(load->remote->addr, BENCH_MESSAGE, MADV_DONTNEED))
			odp_die(errno, "MADV_DONTNEED");
		sum += bench_transfer(b, load);
	}
	return sum;
}

static double faults_by_prefetch(struct bench *b, struct bench_load *load)
{
	double sum = 0;

	for (int i = 0; i < COUNT; i++) {
		uint64_t start;
		int err;

		if (madvise(load->remote->addr, BENCH_MESSAGE, MADV_DONTNEED))
			odp_die(errno, "MADV_DONTNEED");
		start = bench_now();
		err = odp_prefetch(&b->o, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, load->remote, 0,
				   BENCH_MESSAGE);
		if (err)
			odp_die(err, "ibv_advise_mr");
		sum += bench_now() - start;
	}
	return sum;
}

static const struct {
	const char *name;
	enum kind kind;
	bool registered;
	int outside;	/* the mode to compare with, or -1 */
} modes[] = {
	{ "calm", CALM, false, -1 },
	{ "dontneed-outside", DONTNEED, false, -1 },
	{ "dontneed", DONTNEED, true, 1 },
	{ "dontneed-control", DONTNEED, false, 1 },
	{ "mprotect-outside", PROTECT, false, -1 },
	{ "mprotect", PROTECT, true, 4 },
	{ "mprotect-control", PROTECT, false, 4 },
};

#define MODES	(sizeof(modes) / sizeof(modes[0]))

/* A mode over the one outside: each slice over its neighbour in time. */
static void compare_modes(const char *name, double took[MODES][SLICES], size_t mode)
{
	double ratio[SLICES];

	for (int i = 0; i < SLICES; i++)
		ratio[i] = took[mode][i] / took[modes[mode].outside][i];
	bench_result(bench_median(ratio, SLICES), "storm-%s-slowdown/%s", name, modes[mode].name);
}

static void measure(struct bench *b, struct storm *s, struct bench_load *load,
		    char *elsewhere, const char *name,
		    double (*faults)(struct bench *b, struct bench_load *load))
{
	char *other_window = (char *)load->remote->addr + STORM_OFFSET + HALF;
	double took[MODES][SLICES];

	for (int i = 0; i < SLICES; i++)
		for (size_t j = 0; j < MODES; j++) {
			size_t mode = i % 2 ? MODES - 1 - j : j;
			char *where = modes[mode].registered ? other_window : elsewhere;

			storm_set(s, modes[mode].kind, modes[mode].kind ? where : NULL);
			took[mode][i] = faults(b, load) / COUNT;
		}
	storm_set(s, CALM, NULL);
	for (size_t j = 0; j < MODES; j++)
		if (modes[j].outside >= 0)
			compare_modes(name, took, j);
	for (size_t j = 0; j < MODES; j++)
		bench_result(bench_median(took[j], SLICES), "storm-%s/%s", name, modes[j].name);
}

/* Half a window of pages that stay, so that the window is there all the time. */
static void stay(struct bench *b, struct ibv_mr *mr, size_t offset)
{
	int err = odp_prefetch(&b->o, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, mr, offset, HALF);

	if (err)
		odp_die(err, "ibv_advise_mr");
}

int main(void)
{
	struct bench b = {};
	struct storm s = {};
	struct bench_load load = {
		.op = IBV_WR_RDMA_WRITE,
		.length = BENCH_MESSAGE,
		.span = BENCH_MESSAGE,
		.count = 1,
		.pairs = 1,
	};
	char *addr = bench_memory(REGION, false), *elsewhere = bench_memory(BENCH_WINDOW, false);
	pthread_t thread;

	bench_open(&b);
	load.local = odp_reg(&b.o, bench_memory(MIB, false), MIB, ODP_RW);
	load.remote = odp_reg(&b.o, addr, REGION, ODP_RW | IBV_ACCESS_ON_DEMAND);
	stay(&b, load.remote, STORM_OFFSET);
	if (pthread_create(&thread, NULL, storm_thread, &s))
		odp_die(0, "pthread_create");
	measure(&b, &s, &load, elsewhere, "prefetch-anew", faults_by_prefetch);
	stay(&b, load.remote, HALF);
	measure(&b, &s, &load, elsewhere, "rdma", faults_by_rdma);
	measure(&b, &s, &load, elsewhere, "prefetch", faults_by_prefetch);
	s.over = true;
	pthread_join(thread, NULL);
	ibv_dereg_mr(load.remote);
	ibv_dereg_mr(load.local);
	bench_close(&b);
	return ODP_OK;
}
