// SPDX-License-Identifier: GPL-2.0
/*
 * What a page fault costs over a warm access, per page: memory that no page table
 * has. A message for each page, so that each has a fault of its own; the kernel maps
 * what is around the page of a file, so those are some pages apart.
 */

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"

#define SAMPLES		8
#define FAULTS		512
#define AROUND		(16 * ODP_PAGE)	/* fault_around_bytes */
#define PAGES_LEN	(FAULTS * AROUND)

enum memory { ANONYMOUS, SHARED, PRIVATE };

static const struct {
	const char *name;
	enum memory memory;
	enum ibv_wr_opcode op;
	bool local;	/* the side that has the faults */
	size_t length;	/* of a message */
} kinds[] = {
	{ "anonymous/write", ANONYMOUS, IBV_WR_RDMA_WRITE, false, ODP_PAGE },
	{ "anonymous/read", ANONYMOUS, IBV_WR_RDMA_READ, false, ODP_PAGE },
	{ "anonymous/write-64KiB", ANONYMOUS, IBV_WR_RDMA_WRITE, false, BENCH_MESSAGE },
	{ "anonymous/read-64KiB", ANONYMOUS, IBV_WR_RDMA_READ, false, BENCH_MESSAGE },
	{ "anonymous/receive", ANONYMOUS, IBV_WR_SEND, false, ODP_PAGE },
	{ "anonymous/local-write", ANONYMOUS, IBV_WR_RDMA_WRITE, true, ODP_PAGE },
	{ "anonymous/local-read", ANONYMOUS, IBV_WR_RDMA_READ, true, ODP_PAGE },
	{ "anonymous/local-send", ANONYMOUS, IBV_WR_SEND, true, ODP_PAGE },
	{ "shared-file/write", SHARED, IBV_WR_RDMA_WRITE, false, ODP_PAGE },
	{ "shared-file/read", SHARED, IBV_WR_RDMA_READ, false, ODP_PAGE },
	{ "private-file/read", PRIVATE, IBV_WR_RDMA_READ, false, ODP_PAGE },
	{ "shared-file/local-read", SHARED, IBV_WR_RDMA_READ, true, ODP_PAGE },
	{ "shared-file/local-send", SHARED, IBV_WR_SEND, true, ODP_PAGE },
};

/* Whole windows, all of the file's pages in the page cache. */
static char *map(enum memory memory, int file)
{
	uintptr_t found = (uintptr_t)odp_map(PAGES_LEN + BENCH_WINDOW);
	char *addr = (char *)((found + BENCH_WINDOW - 1) & -BENCH_WINDOW);
	int flags = memory == SHARED ? MAP_SHARED : MAP_PRIVATE;

	if (memory != ANONYMOUS &&
	    mmap(addr, PAGES_LEN, PROT_READ | PROT_WRITE, flags | MAP_FIXED, file, 0) != addr)
		odp_die(errno, "mmap");
	return addr;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void measure(struct bench *b, size_t n, struct ibv_mr *pinned, int file)
{
	const size_t stride = kinds[n].memory == ANONYMOUS ? 0 : AROUND;
	char *addr = map(kinds[n].memory, file);
	/* The smallest: what comes by chance only adds */
	uint64_t cold = UINT64_MAX, warm = UINT64_MAX;

	for (int i = 0; i < SAMPLES; i++) {
		struct bench_load load = {
			.op = kinds[n].op,
			.local = pinned,
			.remote = pinned,
			.length = kinds[n].length,
			.stride = stride,
			.count = FAULTS * ODP_PAGE / kinds[n].length,
			.pairs = 1,
		};
		struct ibv_mr *mr;

		if (madvise(addr, PAGES_LEN, MADV_DONTNEED))
			odp_die(errno, "MADV_DONTNEED");
		mr = odp_reg(&b->o, addr, PAGES_LEN, ODP_RW | IBV_ACCESS_ON_DEMAND);
		if (kinds[n].local)
			load.local = mr;
		else
			load.remote = mr;
		load.span = load.remote->length;
		cold = smaller(cold, bench_transfer(b, &load));
		warm = smaller(warm, bench_transfer(b, &load));
		ibv_dereg_mr(mr);
	}
	bench_result((double)(cold - warm) / FAULTS, "fault/%s", kinds[n].name);
	munmap(addr, PAGES_LEN);
}

int main(void)
{
	int file = memfd_create("bench", MFD_CLOEXEC);
	struct ibv_mr *pinned;
	struct bench b = {};
	void *pages;

	if (file < 0 || ftruncate(file, PAGES_LEN))
		odp_die(errno, "memfd");
	pages = mmap(NULL, PAGES_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (pages == MAP_FAILED)
		odp_die(errno, "mmap");
	memset(pages, 1, PAGES_LEN);
	munmap(pages, PAGES_LEN);

	bench_open(&b);
	pinned = odp_reg(&b.o, bench_memory(MIB, false), MIB, ODP_RW);
	for (size_t n = 0; n < sizeof(kinds) / sizeof(kinds[0]); n++)
		measure(&b, n, pinned, file);
	ibv_dereg_mr(pinned);
	bench_close(&b);
	return ODP_OK;
}
