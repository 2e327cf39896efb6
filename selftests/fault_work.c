// SPDX-License-Identifier: GPL-2.0
/*
 * RDMA on an ODP region whose page faults, in rxe's workers, run out of memory time
 * and again. Every byte is checked.
 *
 * fault_work ROUNDS [errors]    errors: an operation may fail; it is then tried again
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/odp.h"

#define PAGES	48UL
#define LEN	(PAGES * ODP_PAGE)
#define TRIES	1000

static struct odp o;
static unsigned char *memory;
static struct ibv_mr *mr, *bounce;
static bool may_fail;
static unsigned long operations, pages, errors, wrong;

static void drop(void)
{
	if (madvise(memory, LEN, MADV_DONTNEED))
		odp_die(errno, "MADV_DONTNEED");
}

/* The status of the first try that was not a success is one error. */
static bool move(enum ibv_wr_opcode op)
{
	enum ibv_wc_status status = IBV_WC_SUCCESS;

	for (int i = 0; i < TRIES; i++) {
		status = odp_rdma_pages(&o, op, bounce, ODP_PAGE, mr, 0, PAGES, o.chunk);
		operations += PAGES;
		if (!status)
			return true;
		if (!errors++)
			printf("the first error: %s\n", ibv_wc_status_str(status));
		odp_connect(&o);
		if (!may_fail)
			break;
	}
	return false;
}

static void stamp(unsigned char *at, uint64_t number)
{
	for (size_t i = 0; i < PAGES; i++)
		odp_stamp(at + i * ODP_PAGE, o.chunk, i, number);
}

static void check(const unsigned char *at, uint64_t number, const char *what)
{
	for (size_t i = 0; i < PAGES; i++) {
		pages++;
		if (odp_stamped(at + i * ODP_PAGE, o.chunk, i, number))
			continue;
		if (wrong++ < 5)
			printf("stamp %lu: page %zu is wrong, %s\n", number, i, what);
	}
}

static void advise(void)
{
	struct ibv_sge sge = { (uintptr_t)memory, LEN, mr->lkey };
	int err = ibv_advise_mr(o.pd, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, 0, &sge, 1);

	if (err)
		odp_die(err, "ibv_advise_mr");
}

/* Into absent pages, and out of pages that the CPU has just written. */
static bool round_trip(uint64_t number)
{
	drop();
	if (number % 3 == 0)
		advise();
	stamp(bounce->addr, 2 * number);
	if (!move(IBV_WR_RDMA_WRITE))
		return false;
	check(memory, 2 * number, "written by RDMA");
	drop();
	stamp(memory, 2 * number + 1);
	memset(bounce->addr, 0, LEN);
	if (!move(IBV_WR_RDMA_READ))
		return false;
	check(bounce->addr, 2 * number + 1, "read by RDMA");
	return true;
}

int main(int argc, char **argv)
{
	const unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 0) : 0;

	if (!rounds)
		odp_die(0, "usage: %s ROUNDS [errors]", argv[0]);
	may_fail = argc > 2;
	odp_open(&o);
	memory = odp_map(LEN);
	mr = odp_reg(&o, memory, LEN, ODP_RW | IBV_ACCESS_ON_DEMAND);
	bounce = odp_reg(&o, odp_map(LEN), LEN, IBV_ACCESS_LOCAL_WRITE);
	for (unsigned long i = 1; i <= rounds; i++) {
		/* Nothing is left of a region but what the next one finds. */
		if (i % 4 == 0) {
			ibv_dereg_mr(mr);
			mr = odp_reg(&o, memory, LEN, ODP_RW | IBV_ACCESS_ON_DEMAND);
		}
		if (!round_trip(i)) {
			printf("round %lu does not come to its end\n", i);
			break;
		}
	}
	printf("%lu operations, %lu errors, %lu pages verified, %lu wrong\n", operations,
	       errors, pages, wrong);
	printf("figure operations %lu\nfigure verified %lu\nfigure wrong %lu\n",
	       operations, pages, wrong);
	return wrong || (errors && !may_fail) ? ODP_DEFECT : ODP_OK;
}
