// SPDX-License-Identifier: GPL-2.0
/*
 * RDMA WRITE to all pages of a region, then RDMA READ of them: for a cgroup with
 * less memory than that.
 *
 * rxe_fill PAGES
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/odp.h"

struct fill {
	struct odp o;
	struct ibv_mr *region, *bounce;
	unsigned long failed;
};

static void fail(struct fill *f, size_t page, const char *op, const char *what)
{
	if (f->failed++ < 5)
		printf("%s of page %zu: %s\n", op, page, what);
	odp_connect(&f->o);
}

static void write_page(struct fill *f, size_t page)
{
	enum ibv_wc_status status;

	odp_stamp(f->bounce->addr, f->o.chunk, page, 1);
	status = odp_rdma(&f->o, IBV_WR_RDMA_WRITE, odp_at(f->bounce, 0),
			  odp_at(f->region, page * ODP_PAGE), f->o.chunk);
	if (status)
		fail(f, page, "WRITE", ibv_wc_status_str(status));
}

static void read_page(struct fill *f, size_t page)
{
	enum ibv_wc_status status;

	memset(f->bounce->addr, 0, f->o.chunk);
	status = odp_rdma(&f->o, IBV_WR_RDMA_READ, odp_at(f->bounce, 0),
			  odp_at(f->region, page * ODP_PAGE), f->o.chunk);
	if (status)
		fail(f, page, "READ", ibv_wc_status_str(status));
	else if (!odp_stamped(f->bounce->addr, f->o.chunk, page, 1))
		fail(f, page, "READ", "wrong data");
}

int main(int argc, char **argv)
{
	size_t pages = argc > 1 ? strtoul(argv[1], NULL, 0) : 1024;
	struct fill f = {};

	odp_open(&f.o);
	f.bounce = odp_reg(&f.o, odp_map(ODP_PAGE), ODP_PAGE, ODP_RW);
	/* The program itself must not be what there is no memory for */
	if (mlockall(MCL_CURRENT))
		odp_die(errno, "mlockall");
	f.region = odp_reg(&f.o, odp_map(pages * ODP_PAGE), pages * ODP_PAGE,
			   ODP_RW | IBV_ACCESS_ON_DEMAND);
	for (size_t page = 0; page < pages; page++)
		write_page(&f, page);
	for (size_t page = 0; page < pages; page++)
		read_page(&f, page);
	ibv_dereg_mr(f.region);
	ibv_dereg_mr(f.bounce);
	odp_close(&f.o);
	printf("%zu pages, %lu transfers failed\n", pages, f.failed);
	return f.failed ? ODP_DEFECT : ODP_OK;
}
