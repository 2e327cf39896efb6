// SPDX-License-Identifier: GPL-2.0
/*
 * One ODP region, moved step by step: each line of stdin is a step, the answer
 * is a line on stdout: "ok", or what went wrong.
 *
 *   map N          N fresh pages          reg / dereg      the region over them
 *   implicit       a region over the whole address space, used where they are
 *   fill S         CPU writes stamp S     check S          CPU reads it
 *   write S        RDMA WRITE of S        read S           RDMA READ must see S
 *   rdma F N S     RDMA WRITE of N pages from page F on
 *   prefetch F N ro|rw|nofault            synchronous ibv_advise_mr
 *   queue F N                             the same in the background, for writing
 *   drop F N       MADV_DONTNEED          unmap F N        munmap
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/odp.h"

struct region {
	struct odp o;
	unsigned char *addr;
	size_t pages;
	struct ibv_mr *mr;
	unsigned char *bounce;
	struct ibv_mr *bounce_mr;
};

static char answer[200];

static const char *failed(const char *what, int err)
{
	snprintf(answer, sizeof(answer), "%s: %s", what, strerror(err));
	return answer;
}

static const char *map(struct region *r, size_t pages)
{
	r->pages = pages;
	r->addr = odp_map(pages * ODP_PAGE);
	r->bounce = NULL;
	return "ok";
}

static const char *reg(struct region *r)
{
	r->mr = ibv_reg_mr(r->o.pd, r->addr, r->pages * ODP_PAGE,
			   ODP_RW | IBV_ACCESS_ON_DEMAND);
	return r->mr ? "ok" : failed("ibv_reg_mr", errno);
}

static const char *implicit(struct region *r)
{
	r->mr = ibv_reg_mr(r->o.pd, NULL, SIZE_MAX,
			   ODP_RW | IBV_ACCESS_ON_DEMAND);
	if (!r->mr)
		return failed("ibv_reg_mr", errno);
	/* What offsets are added to */
	r->mr->addr = r->addr;
	return "ok";
}

static const char *dereg(struct region *r)
{
	int err = ibv_dereg_mr(r->mr);

	return err ? failed("ibv_dereg_mr", err) : "ok";
}

static const char *compare(struct region *r, const unsigned char *addr,
			   uint64_t stamp)
{
	size_t wrong = 0;

	for (size_t i = 0; i < r->pages; i++)
		wrong += !odp_stamped(addr + i * ODP_PAGE, r->o.chunk, i, stamp);
	if (!wrong)
		return "ok";
	snprintf(answer, sizeof(answer), "%zu of %zu pages are wrong", wrong,
		 r->pages);
	return answer;
}

static const char *rdma(struct region *r, enum ibv_wr_opcode op, size_t first,
			size_t count, uint64_t stamp)
{
	enum ibv_wc_status status;

	if (!r->bounce) {
		r->bounce = odp_map(r->pages * ODP_PAGE);
		r->bounce_mr = odp_reg(&r->o, r->bounce, r->pages * ODP_PAGE,
				       IBV_ACCESS_LOCAL_WRITE);
	}
	memset(r->bounce, 0, r->pages * ODP_PAGE);
	for (size_t i = 0; op == IBV_WR_RDMA_WRITE && i < r->pages; i++)
		odp_stamp(r->bounce + i * ODP_PAGE, r->o.chunk, i, stamp);
	status = odp_rdma_pages(&r->o, op, r->bounce_mr, ODP_PAGE, r->mr,
				first, count, r->o.chunk);
	if (status) {
		odp_connect(&r->o);
		return ibv_wc_status_str(status);
	}
	return op == IBV_WR_RDMA_READ ? compare(r, r->bounce, stamp) : "ok";
}

static const char *prefetch(struct region *r, size_t first, size_t count,
			    const char *how)
{
	enum ibv_advise_mr_advice advice = IBV_ADVISE_MR_ADVICE_PREFETCH;
	int err;

	if (!strcmp(how, "rw"))
		advice = IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE;
	else if (!strcmp(how, "nofault"))
		advice = IBV_ADVISE_MR_ADVICE_PREFETCH_NO_FAULT;
	err = odp_prefetch(&r->o, advice, r->mr, first * ODP_PAGE,
			   count * ODP_PAGE);
	return err ? failed("ibv_advise_mr", err) : "ok";
}

static const char *queue(struct region *r, size_t first, size_t count)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)r->addr + first * ODP_PAGE,
		.length = count * ODP_PAGE,
		.lkey = r->mr->lkey,
	};
	int err = ibv_advise_mr(r->o.pd, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, 0,
				&sge, 1);

	return err ? failed("ibv_advise_mr", err) : "ok";
}

static const char *step(struct region *r, const char *line)
{
	char verb[16] = "", how[16] = "";
	size_t a = 0, b = 0, c = 0;

	if (sscanf(line, "%15s %zu %zu %zu", verb, &a, &b, &c) == 3)
		sscanf(line, "%*s %*u %*u %15s", how);
	if (!strcmp(verb, "map"))
		return map(r, a);
	if (!strcmp(verb, "reg"))
		return reg(r);
	if (!strcmp(verb, "implicit"))
		return implicit(r);
	if (!strcmp(verb, "dereg"))
		return dereg(r);
	if (!strcmp(verb, "fill")) {
		for (size_t i = 0; i < r->pages; i++)
			odp_stamp(r->addr + i * ODP_PAGE, r->o.chunk, i, a);
		return "ok";
	}
	if (!strcmp(verb, "check"))
		return compare(r, r->addr, a);
	if (!strcmp(verb, "write"))
		return rdma(r, IBV_WR_RDMA_WRITE, 0, r->pages, a);
	if (!strcmp(verb, "read"))
		return rdma(r, IBV_WR_RDMA_READ, 0, r->pages, a);
	if (!strcmp(verb, "rdma"))
		return rdma(r, IBV_WR_RDMA_WRITE, a, b, c);
	if (!strcmp(verb, "prefetch"))
		return prefetch(r, a, b, how);
	if (!strcmp(verb, "queue"))
		return queue(r, a, b);
	if (!strcmp(verb, "drop"))
		return madvise(r->addr + a * ODP_PAGE, b * ODP_PAGE,
			       MADV_DONTNEED) ? failed("madvise", errno) : "ok";
	if (!strcmp(verb, "unmap"))
		return munmap(r->addr + a * ODP_PAGE, b * ODP_PAGE) ?
		       failed("munmap", errno) : "ok";
	return "no such step";
}

int main(void)
{
	struct region r = {};
	char line[128];

	odp_open(&r.o);
	while (fgets(line, sizeof(line), stdin)) {
		puts(step(&r, line));
		fflush(stdout);
	}
	return 0;
}
