// SPDX-License-Identifier: GPL-2.0
/*
 * Verified RDMA on an ODP region until SIGTERM: pages are written, given back,
 * read, and the region is registered anew now and then. Every byte is checked, and what
 * is wrong is told at once: the process may be killed. What ends in an error is tried
 * again.
 *
 * traffic [wrong]    wrong: changes bytes on its own, as a control
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "lib/odp.h"

#define PAGES	64
#define PAUSE_US	2000
#define STALL_S	5	/* no step should take that long */
#define TRIES	5

struct traffic {
	struct odp o;
	unsigned char *addr, *source, *sink;
	struct ibv_mr *mr, *source_mr, *sink_mr;
	uint64_t stamp[PAGES];		/* 0: the page must read as zeros */
	unsigned long steps, wrong, pages, errors;
	time_t slowest, limit;
};

static volatile sig_atomic_t stop;

static void on_term(int sig)
{
	(void)sig;
	stop = 1;
}

/* C gives up on a fault after a second, which a slow machine can make of a short one. */
static void transfer(struct traffic *t, enum ibv_wr_opcode op,
		     struct ibv_mr *local, size_t first, size_t count)
{
	enum ibv_wc_status status;

	for (int i = 0; i < TRIES; i++) {
		status = odp_rdma_pages(&t->o, op, local, ODP_PAGE, t->mr, first,
					count, t->o.chunk);
		if (!status)
			return;
		printf("step %lu, RDMA %s: %s\n", t->steps,
		       op == IBV_WR_RDMA_READ ? "READ" : "WRITE",
		       ibv_wc_status_str(status));
		t->errors++;
		odp_connect(&t->o);
	}
	t->wrong++;
}

static bool right(struct traffic *t, const unsigned char *addr, size_t i)
{
	if (t->stamp[i])
		return odp_stamped(addr, t->o.chunk, i, t->stamp[i]);
	for (size_t b = 0; b < t->o.chunk; b++)
		if (addr[b])
			return false;
	return true;
}

static void check(struct traffic *t, const unsigned char *where,
		  const char *what, size_t first, size_t count)
{
	for (size_t i = first; i < first + count; i++) {
		t->pages++;
		if (right(t, where + i * ODP_PAGE, i))
			continue;
		if (t->wrong++ < 10)
			printf("step %lu: page %zu is wrong, seen by %s\n",
			       t->steps, i, what);
	}
}

static void step(struct traffic *t, unsigned short rnd[3], uint64_t kind)
{
	size_t first = odp_random(rnd, PAGES);
	size_t count = 1 + odp_random(rnd, PAGES - first);

	switch (kind) {
	case 0:
		if (madvise(t->addr + first * ODP_PAGE, count * ODP_PAGE,
			    MADV_DONTNEED))
			odp_die(errno, "MADV_DONTNEED");
		for (size_t i = first; i < first + count; i++)
			t->stamp[i] = 0;
		break;
	case 1:
		ibv_dereg_mr(t->mr);
		t->mr = odp_reg(&t->o, t->addr, PAGES * ODP_PAGE,
				ODP_RW | IBV_ACCESS_ON_DEMAND);
		break;
	case 2:
		check(t, t->addr, "the CPU", first, count);
		break;
	case 3:
	case 4:
		memset(t->sink + first * ODP_PAGE, 0xff, count * ODP_PAGE);
		transfer(t, IBV_WR_RDMA_READ, t->sink_mr, first, count);
		check(t, t->sink, "RDMA READ", first, count);
		break;
	default:
		for (size_t i = first; i < first + count; i++) {
			t->stamp[i] = t->steps + 1;
			odp_stamp(t->source + i * ODP_PAGE, t->o.chunk, i,
				  t->stamp[i]);
		}
		transfer(t, IBV_WR_RDMA_WRITE, t->source_mr, first, count);
	}
	t->steps++;
	/* A task that never sleeps holds up the livepatch, for seconds at a time */
	usleep(odp_random(rnd, PAUSE_US));
}

static void timed_step(struct traffic *t, unsigned short rnd[3])
{
	const uint64_t kind = odp_random(rnd, 8);
	time_t start = time(NULL), took;

	step(t, rnd, kind);
	took = time(NULL) - start;
	if (took > t->limit)
		printf("step %lu, of kind %lu, took %ld s\n", t->steps - 1, kind,
		       (long)took);
	if (took > t->slowest)
		t->slowest = took;
}

int main(int argc, char **argv)
{
	const bool wrong = argc > 1 && !strcmp(argv[1], "wrong");
	const size_t len = PAGES * ODP_PAGE;
	struct traffic t = {};
	unsigned short rnd[3];

	signal(SIGTERM, on_term);
	t.limit = STALL_S * odp_env("ODP_SLOW", 1);
	odp_seed(rnd);
	odp_open(&t.o);
	t.addr = odp_map(len);
	t.source = odp_map(len);
	t.sink = odp_map(len);
	t.mr = odp_reg(&t.o, t.addr, len, ODP_RW | IBV_ACCESS_ON_DEMAND);
	t.source_mr = odp_reg(&t.o, t.source, len, IBV_ACCESS_LOCAL_WRITE);
	t.sink_mr = odp_reg(&t.o, t.sink, len, IBV_ACCESS_LOCAL_WRITE);
	setlinebuf(stdout);
	puts("running");

	while (!stop) {
		timed_step(&t, rnd);
		if (wrong)
			t.addr[odp_random(rnd, PAGES) * ODP_PAGE] ^= 1;
	}
	check(&t, t.addr, "the CPU", 0, PAGES);
	ibv_dereg_mr(t.mr);
	ibv_dereg_mr(t.source_mr);
	ibv_dereg_mr(t.sink_mr);
	odp_close(&t.o);
	printf("%lu steps, %lu pages verified, %lu wrong, %lu errors, slowest step under %ld s\n",
	       t.steps, t.pages, t.wrong, t.errors, (long)t.slowest + 1);
	return t.wrong || t.slowest > t.limit ? ODP_DEFECT : ODP_OK;
}
