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

#include "lib/mm.h"
#include "lib/odp.h"

static struct odp o;
static struct ibv_mr *mr, *local;

static void open_region(struct mm *m)
{
	mr = odp_reg(&o, m->addr, m->pages * ODP_PAGE,
		     ODP_RW | IBV_ACCESS_ON_DEMAND);
	local = odp_reg(&o, m->buffer, ODP_PAGE, ODP_RW);
}

static const char *rdma(struct mm *m, enum ibv_wr_opcode op, size_t page)
{
	enum ibv_wc_status status;

	status = odp_rdma(&o, op, odp_at(local, 0), odp_at(mr, page * ODP_PAGE),
			  m->len);
	if (!status)
		return NULL;
	odp_connect(&o);
	return ibv_wc_status_str(status);
}

static const char *read_page(struct mm *m, size_t page)
{
	return rdma(m, IBV_WR_RDMA_READ, page);
}

static const char *write_page(struct mm *m, size_t page)
{
	return rdma(m, IBV_WR_RDMA_WRITE, page);
}

static void close_region(struct mm *m)
{
	(void)m;
	ibv_dereg_mr(mr);
	ibv_dereg_mr(local);
}

static const struct mm_device rxe = {
	.open = open_region, .read = read_page, .write = write_page,
	.close = close_region,
};

int main(int argc, char **argv)
{
	int status;

	if (argc < 3)
		odp_die(0, "usage: %s KIND MILLISECONDS [chunk]", argv[0]);
	odp_open(&o);
	status = mm_run(&rxe, argv[1], strtoul(argv[2], NULL, 10),
			argc > 3 ? o.chunk : ODP_PAGE);
	odp_close(&o);
	return status;
}
