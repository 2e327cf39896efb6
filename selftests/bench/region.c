// SPDX-License-Identifier: GPL-2.0
/*
 * What a region costs of which nothing is ever touched: to register it, to change
 * the protection of its memory, to deregister it, and in kernel memory.
 * Sizes that the device refuses are left out.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "bench.h"

#define SAMPLES		5
#define REGIONS		8192

static const struct {
	const char *name;
	size_t len;
	int regions;	/* at once, to see their memory above the noise of a MiB */
} sizes[] = {
	{ "1MiB", MIB, 0 }, { "16MiB", 16 * MIB, 512 }, { "256MiB", 256 * MIB, 0 },
	{ "4GiB", 4 * GIB, 0 }, { "64GiB", 64 * GIB, 0 }, { "1TiB", TIB, REGIONS },
};

static struct ibv_mr *try_reg(struct bench *b, void *addr, size_t len)
{
	return ibv_reg_mr(b->o.pd, addr, len, ODP_RW | IBV_ACCESS_ON_DEMAND);
}

/*
 * Untouched memory, with a touched page in front and in the same GiB: without one
 * there would be no page tables near, and mprotect would not call the notifiers.
 */
static char *untouched(size_t len)
{
	size_t whole = len + 3 * BENCH_WINDOW;
	char *found = mmap(NULL, whole, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uintptr_t addr = ((uintptr_t)found + 2 * BENCH_WINDOW - 1) & -BENCH_WINDOW;

	if (found == MAP_FAILED)
		odp_die(errno, "mmap of %zu bytes", len);
	if (madvise(found, whole, MADV_NOHUGEPAGE))
		odp_die(errno, "MADV_NOHUGEPAGE");
	if (!(addr % GIB))
		addr += BENCH_WINDOW;
	*(char *)(addr - ODP_PAGE) = 1;
	return (char *)addr;
}

static double protect(void *addr, size_t len, int prot)
{
	uint64_t start = bench_now();

	if (mprotect(addr, len, prot))
		odp_die(errno, "mprotect of %zu bytes", len);
	return bench_now() - start;
}

static void measure(struct bench *b, const char *name, void *addr, size_t len)
{
	double reg[SAMPLES], dereg[SAMPLES], bare[SAMPLES], with[SAMPLES];

	for (int i = 0; i < SAMPLES; i++) {
		struct ibv_mr *mr;
		uint64_t start;

		bare[i] = protect(addr, len, PROT_READ);
		protect(addr, len, PROT_READ | PROT_WRITE);
		start = bench_now();
		mr = try_reg(b, addr, len);
		reg[i] = bench_now() - start;
		if (!mr)
			return;
		with[i] = protect(addr, len, PROT_READ);
		protect(addr, len, PROT_READ | PROT_WRITE);
		start = bench_now();
		if (ibv_dereg_mr(mr))
			odp_die(errno, "ibv_dereg_mr");
		dereg[i] = bench_now() - start;
	}
	bench_result(bench_median(reg, SAMPLES), "register/%s", name);
	bench_result(bench_median(dereg, SAMPLES), "deregister/%s", name);
	bench_result(bench_median(with, SAMPLES), "mprotect/%s", name);
	bench_result(bench_median(bare, SAMPLES), "mprotect-unregistered/%s", name);
}

/* MemFree leaves out what waits in the lists of the CPUs, which can be many MiB. */
static double free_memory(void)
{
	FILE *file = fopen("/proc/zoneinfo", "r");
	unsigned long pages, sum = 0;
	char line[256];

	if (!file)
		odp_die(errno, "/proc/zoneinfo");
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, " pages free %lu", &pages) == 1 ||
		    sscanf(line, " count: %lu", &pages) == 1)
			sum += pages;
	fclose(file);
	return sum * (double)ODP_PAGE;
}

static void measure_memory(struct bench *b, const char *name, void *addr, size_t len,
			   int regions)
{
	static struct ibv_mr *mr[REGIONS];
	double before = 0;

	/* The first one makes what all share, such as page tables */
	for (int i = 0; i < regions; i++) {
		mr[i] = try_reg(b, addr, len);
		if (!mr[i])
			return;
		if (!i)
			before = free_memory();
	}
	bench_result((before - free_memory()) / (regions - 1), "memory/%s", name);
	for (int i = 0; i < regions; i++)
		ibv_dereg_mr(mr[i]);
}

int main(void)
{
	struct bench b = {};

	bench_open(&b);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *addr = untouched(sizes[i].len);

		measure(&b, sizes[i].name, addr, sizes[i].len);
		if (sizes[i].regions)
			measure_memory(&b, sizes[i].name, addr, sizes[i].len, sizes[i].regions);
		munmap(addr, sizes[i].len);
	}
	bench_close(&b);
	return ODP_OK;
}
