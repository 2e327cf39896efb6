// SPDX-License-Identifier: GPL-2.0
/*
 * RDMA writes to pages that the CPU only ever read must survive swap-out.
 *
 * swap_dirty anon|memfd swapin|clean keep|release RECLAIM [PAGES]
 *   swapin   the pages were swapped out, and came back by CPU reads
 *   clean    the pages are clean for another reason: anonymous ones are marked
 *            MADV_FREE, those of a memfd are holes that were only read
 *   release  deregister before the pages are swapped out, not after
 *   RECLAIM  the memory.reclaim file of the cgroup that this runs in
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "lib/odp.h"

#define SWAP_OUT_S	60	/* that swapping out may take */

enum { OLD = 1, NEW = 2 };

struct memory {
	unsigned char *addr;
	size_t pages;
	const char *reclaim;
};

static void read_page(const struct memory *m, size_t i)
{
	(void)*(volatile unsigned char *)(m->addr + i * ODP_PAGE);
}

/* Counts the pages in memory; touch makes them mapped, by a read. */
static size_t resident(const struct memory *m, bool touch)
{
	unsigned char *vec = malloc(m->pages);
	size_t count = 0;

	if (!vec || mincore(m->addr, m->pages * ODP_PAGE, vec))
		odp_die(errno, "mincore");
	for (size_t i = 0; i < m->pages; i++) {
		if (!(vec[i] & 1))
			continue;
		count++;
		if (touch)
			read_page(m, i);
	}
	free(vec);
	return count;
}

/*
 * MADV_PAGEOUT unmaps and writes the pages; those on a disk then stay in the
 * swap cache until reclaim meets them again, and would be found there.
 */
static void swap_out(const struct memory *m)
{
	static const char amount[] = "64M";
	const time_t end = time(NULL) + SWAP_OUT_S * odp_env("ODP_SLOW", 1);
	size_t left = 0;

	for (int i = 1; time(NULL) < end; i++) {
		int fd;

		if (madvise(m->addr, m->pages * ODP_PAGE, MADV_PAGEOUT))
			odp_die(errno, "MADV_PAGEOUT");
		/* MADV_PAGEOUT passes over a page that only lost its mapping */
		left = resident(m, i % 20 == 0);
		if (!left)
			return;
		fd = open(m->reclaim, O_WRONLY);
		if (fd < 0)
			odp_die(errno, "%s", m->reclaim);
		/* EAGAIN: less than that could be reclaimed */
		if (write(fd, amount, strlen(amount)) < 0 && errno != EAGAIN)
			odp_die(errno, "%s", m->reclaim);
		close(fd);
		usleep(10000);
	}
	odp_die(0, "%zu of %zu pages stay in memory", left, m->pages);
}

static void fill(const struct memory *m)
{
	for (size_t i = 0; i < m->pages; i++)
		odp_stamp(m->addr + i * ODP_PAGE, ODP_PAGE, i, OLD);
}

static void read_all(const struct memory *m)
{
	for (size_t i = 0; i < m->pages; i++)
		read_page(m, i);
}

static void prepare(struct memory *m, bool anon, bool swapin)
{
	size_t len = m->pages * ODP_PAGE;
	int fd;

	if (anon) {
		m->addr = odp_map(len);
	} else {
		fd = memfd_create("swap_dirty", MFD_CLOEXEC);
		if (fd < 0 || ftruncate(fd, len))
			odp_die(errno, "memfd_create");
		m->addr = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED,
			       fd, 0);
		if (m->addr == MAP_FAILED)
			odp_die(errno, "mmap");
		close(fd);
	}
	if (swapin) {
		fill(m);
		swap_out(m);
		read_all(m);
	} else if (anon) {
		fill(m);
		if (madvise(m->addr, len, MADV_FREE))
			odp_die(errno, "MADV_FREE");
	} else {
		read_all(m);
	}
}

static void write_all(struct odp *o, const struct memory *m, struct ibv_mr *mr)
{
	unsigned char *source = odp_map(m->pages * ODP_PAGE);
	enum ibv_wc_status status;
	struct ibv_mr *source_mr;

	for (size_t i = 0; i < m->pages; i++)
		odp_stamp(source + i * ODP_PAGE, o->chunk, i, NEW);
	source_mr = odp_reg(o, source, m->pages * ODP_PAGE,
			    IBV_ACCESS_LOCAL_WRITE);
	status = odp_rdma_pages(o, IBV_WR_RDMA_WRITE, source_mr, ODP_PAGE, mr,
				0, m->pages, o->chunk);
	if (status)
		odp_die(0, "RDMA WRITE: %s", ibv_wc_status_str(status));
	ibv_dereg_mr(source_mr);
	munmap(source, m->pages * ODP_PAGE);
}

int main(int argc, char **argv)
{
	struct memory m = { .pages = 2048 };
	struct ibv_mr *mr;
	struct odp o = {};
	size_t lost = 0;
	bool release;

	if (argc < 5)
		odp_die(0, "usage: %s anon|memfd swapin|clean keep|release RECLAIM [PAGES]",
			argv[0]);
	release = !strcmp(argv[3], "release");
	m.reclaim = argv[4];
	if (argc > 5)
		m.pages = strtoul(argv[5], NULL, 0);

	odp_open(&o);
	prepare(&m, !strcmp(argv[1], "anon"), !strcmp(argv[2], "swapin"));
	mr = odp_reg(&o, m.addr, m.pages * ODP_PAGE,
		     ODP_RW | IBV_ACCESS_ON_DEMAND);
	write_all(&o, &m, mr);
	if (release)
		ibv_dereg_mr(mr);
	swap_out(&m);
	for (size_t i = 0; i < m.pages; i++)
		if (!odp_stamped(m.addr + i * ODP_PAGE, o.chunk, i, NEW))
			lost++;
	if (!release)
		ibv_dereg_mr(mr);
	odp_close(&o);
	printf("lost %zu of %zu pages\n", lost, m.pages);
	return lost ? ODP_DEFECT : ODP_OK;
}
