// SPDX-License-Identifier: GPL-2.0
/*
 * The traffic on memory at which memory management is at work: each page carries
 * the number of its last write; the device and the CPU write and read in turn, and
 * every byte is checked. See mm.h.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mm.h"
#include "odp.h"

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

static void dma(struct mm *m, const char *(*transfer)(struct mm *, size_t),
		size_t page)
{
	const char *error = transfer(m, page);

	if (error)
		wrong(m, page, error);
}

/* Both pages of a pair get the same data, if the kind wants that. */
static void write_page(struct mm *m, size_t page, bool by_dma)
{
	const size_t pair = m->kind->pairs ? 2 : 1, first = page / pair * pair;

	m->stamp++;
	for (size_t i = first; i < first + pair; i++) {
		m->stamps[i] = m->stamp;
		m->maybe_zero[i] = false;
		if (by_dma) {
			odp_stamp(m->buffer, m->len, first, m->stamp);
			dma(m, m->device->write, i);
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
	if (m->kind->change && m->steps % m->kind->rarely == 0) {
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
		memset(m->buffer, 0xff, m->len);
		dma(m, m->device->read, page);
		check(m, page, m->buffer, "the device reads wrong data");
		break;
	default:
		write_page(m, page, true);
	}
}

static void *disturb(void *arg)
{
	struct mm *m = arg;

	while (!atomic_load(&m->stop)) {
		m->kind->disturb(m);
		if (m->device->pause_us)
			usleep(m->device->pause_us);
	}
	return NULL;
}

static void traffic(struct mm *m, unsigned long ms)
{
	const double end = seconds() + ms / 1e3, last = end + 9 * ms / 1e3;
	pthread_t thread;

	if (m->kind->disturb && pthread_create(&thread, NULL, disturb, m))
		odp_die(0, "pthread_create");
	while (seconds() < end || (seconds() < last && !mm_happened(m)))
		step(m);
	atomic_store(&m->stop, true);
	if (m->kind->disturb)
		pthread_join(thread, NULL);
	for (size_t i = 0; i < m->pages; i++)
		check(m, i, m->addr + i * ODP_PAGE, "wrong data in the end");
}

int mm_run(const struct mm_device *device, const char *kind, unsigned long ms,
	   size_t len)
{
	struct mm m = {
		.device = device, .kind = kind_named(kind), .len = len,
	};

	odp_seed(m.rnd);
	mm_open(&m);
	device->open(&m);
	for (size_t i = 0; device->fill && i < m.pages; i += 4) {
		write_page(&m, i, false);
		write_page(&m, i + 1, false);
	}
	traffic(&m, ms);
	device->close(&m);
	m.wrong += mm_close(&m);
	printf("%s: %lu steps, %lu pages checked, %lu wrong; %lu %s\n",
	       m.kind->name, m.steps, m.checked, m.wrong, m.effect,
	       m.kind->effect);
	if (m.wrong)
		return ODP_DEFECT;
	return m.effect ? ODP_OK : ODP_ERROR;
}
