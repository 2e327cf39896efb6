// SPDX-License-Identifier: GPL-2.0
/*
 * Memory management at work on a region, under RDMA traffic. Each page carries the
 * number of its last write; RDMA and the CPU write and read in turn, and every
 * byte is checked.
 *
 * rxe_mm KIND MILLISECONDS [chunk]
 *   pageout     anonymous memory, pages are swapped out all the time
 *   shmem       a memfd, pages are swapped out all the time, holes are punched
 *   collapse    huge pages are put together and taken apart
 *   compact     compaction, all the time
 *   offline     pages are taken out of use, their data moves
 *   merge       pairs of pages with the same data are merged by KSM
 *   fork        children keep what was there when they were made
 *   mremap      parts are moved away, zeros are left, nothing reaches what moved
 *   drop        MADV_DONTNEED, and MADV_FREE with pages swapped out
 *   file        a file in /var/tmp, written back and dropped from memory all the
 *               time; in the end the data is on the disk
 *   private     a private mapping of a file, which must stay as it was
 * chunk: only messages of one packet at a page's start
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "lib/mm.h"

static const struct kind *kind_named(const char *name)
{
	for (const struct kind *k = mm_kinds; k->name; k++)
		if (!strcmp(k->name, name))
			return k;
	odp_die(0, "no kind %s", name);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void wrong(struct mm *m, size_t page, const char *what)
{
	if (m->wrong++ < 10)
		printf("step %lu, page %zu: %s\n", m->steps, page, what);
}

static void check(struct mm *m, size_t page, const unsigned char *seen,
		  const char *what)
{
	m->checked++;
	if (!mm_right(m, page, seen))
		wrong(m, page, what);
}

static void rdma(struct mm *m, enum ibv_wr_opcode op, size_t page)
{
	enum ibv_wc_status status;

	status = odp_rdma(&m->o, op, odp_at(m->local, 0),
			  odp_at(m->mr, page * ODP_PAGE), m->len);
	if (!status)
		return;
	wrong(m, page, ibv_wc_status_str(status));
	odp_connect(&m->o);
}

/* Both pages of a pair get the same data, if the kind wants that. */
static void write_page(struct mm *m, size_t page, bool by_rdma)
{
	const size_t pair = m->kind->pairs ? 2 : 1, first = page / pair * pair;

	m->stamp++;
	for (size_t i = first; i < first + pair; i++) {
		m->stamps[i] = m->stamp;
		m->maybe_zero[i] = false;
		if (by_rdma) {
			odp_stamp(m->local->addr, m->len, first, m->stamp);
			rdma(m, IBV_WR_RDMA_WRITE, i);
		} else {
			odp_stamp(m->addr + i * ODP_PAGE, m->len, first, m->stamp);
		}
	}
}

static void step(struct mm *m)
{
	/* A part at a time, so that the others are left alone for a while */
	const size_t part = m->pages / 8;
	size_t page = m->steps / 64 % 8 * part + odp_random(m->rnd, part);

	m->steps++;
	if (m->kind->change && odp_random(m->rnd, m->kind->rarely) == 0) {
		m->kind->change(m, page);
		return;
	}
	switch (odp_random(m->rnd, 5)) {
	case 0:
		check(m, page, m->addr + page * ODP_PAGE, "the CPU reads wrong data");
		break;
	case 1:
		write_page(m, page, false);
		break;
	case 2:
	case 3:
		memset(m->local->addr, 0xff, m->len);
		rdma(m, IBV_WR_RDMA_READ, page);
		check(m, page, m->local->addr, "RDMA READ of wrong data");
		break;
	default:
		write_page(m, page, true);
	}
}

static void *disturb(void *arg)
{
	struct mm *m = arg;

	while (!atomic_load(&m->stop))
		m->kind->disturb(m);
	return NULL;
}

int main(int argc, char **argv)
{
	struct mm m = {};
	pthread_t thread;
	double end;

	if (argc < 3)
		odp_die(0, "usage: %s KIND MILLISECONDS [chunk]", argv[0]);
	m.kind = kind_named(argv[1]);
	odp_seed(m.rnd);
	odp_open(&m.o);
	m.len = argc > 3 ? m.o.chunk : ODP_PAGE;
	mm_open(&m);
	if (m.kind->disturb && pthread_create(&thread, NULL, disturb, &m))
		odp_die(0, "pthread_create");
	for (end = seconds() + atoi(argv[2]) / 1e3; seconds() < end; )
		step(&m);
	atomic_store(&m.stop, true);
	if (m.kind->disturb)
		pthread_join(thread, NULL);
	for (size_t i = 0; i < m.pages; i++)
		check(&m, i, m.addr + i * ODP_PAGE, "wrong data in the end");
	m.wrong += mm_close(&m);
	ibv_dereg_mr(m.local);
	odp_close(&m.o);
	printf("%s: %lu steps, %lu pages checked, %lu wrong; %lu %s\n",
	       m.kind->name, m.steps, m.checked, m.wrong, m.effect,
	       m.kind->effect);
	if (m.wrong)
		return ODP_DEFECT;
	return m.effect ? ODP_OK : ODP_ERROR;
}
