// SPDX-License-Identifier: GPL-2.0
/*
 * Where C's ib_umem_odp lets a device with real DMA read or write memory that is
 * not the region's, or not any more: see umem_odp_dma.c. A line a step.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>

#include "lib/umem_dma.h"

#define PAGE	ODP_PAGE
#define PAGES	16
#define HUGE_RW	(RW | IBV_ACCESS_HUGETLB)

/* C fills the table of a region of huge pages in units of PAGE_SIZE. */
static void huge_pages(void)
{
	char *addr = map_huge(4 * HUGE, MAP_HUGETLB);
	long region = get(addr, 4 * HUGE, HUGE_RW);

	for (size_t i = 0; i < 4 * HUGE / PAGE; i++)
		memset(addr + i * PAGE, 1 + i % 251, PAGE);
	fault("fault of the second huge page", region, addr + HUGE, HUGE, 0);
	table("huge, one fault", region, addr, HUGE, 4);
	fault("fault of the first huge page", region, addr, HUGE, 0);
	table("huge, two faults", region, addr, HUGE, 4);
	reads("in the second huge page", region, addr + HUGE + 5 * PAGE, PAGE);
	fault("fault of four huge pages", region, addr, 4 * HUGE, 0);
	table("huge, all faults", region, addr, HUGE, 4);
	reads("in the third huge page", region, addr + 2 * HUGE + 5 * PAGE, PAGE);
	/* Within the first one, where C takes it. */
	writes("in the fourth huge page", region, addr + 3 * HUGE + 5 * PAGE, PAGE);
	CALL(DMA_UNMAP, .region = region, .addr = (uintptr_t)addr + 2 * HUGE, .len = HUGE);
	table("huge, third unmapped", region, addr, HUGE, 4);
	release(region);
	munmap(addr, 4 * HUGE);
}

/* Pages 1 to 3 are given back, others take them, and their addresses get new ones. */
static void change_pages(char *addr, char *other)
{
	madvise(addr + PAGE, 3 * PAGE, MADV_DONTNEED);
	memset(other, 2, 64 * PAGE);
	memset(addr + PAGE, 3, 3 * PAGE);
}

/*
 * A fault that fails leaves entries behind in C. A driver that has mapped nothing
 * ignores that a page goes, and maps the entry with the next page.
 */
static void stale(void)
{
	char *addr = odp_map(PAGES * PAGE), *other = odp_map(64 * PAGE);
	long region = get(addr, PAGES * PAGE, RW);

	memset(addr, 1, PAGES * PAGE);
	munmap(addr + 8 * PAGE, PAGE);
	fault("fault with a hole", region, addr, PAGES * PAGE, 0);
	table("stale, fault failed", region, addr, PAGE, 8);
	change_pages(addr, other);
	fault("fault of a neighbour", region, addr, PAGE, 0);
	table("stale, neighbour mapped", region, addr, PAGE, 8);
	reads("a page that was given back", region, addr + PAGE, PAGE);
	release(region);
	munmap(addr, PAGES * PAGE);
	munmap(other, 64 * PAGE);
}

/* The same after a fault that the driver failed to map. */
static void not_mapped(void)
{
	char *addr = odp_map(PAGES * PAGE), *other = odp_map(64 * PAGE);
	long region = get(addr, PAGES * PAGE, RW);

	memset(addr, 1, PAGES * PAGE);
	fault("fault that the driver fails to map", region, addr, 8 * PAGE,
	      DMA_FAULT_NO_UPDATE);
	change_pages(addr, other);
	fault("fault of a neighbour", region, addr, PAGE, 0);
	table("driver failed, neighbour mapped", region, addr, PAGE, 8);
	reads("a page that the driver failed to map", region, addr + PAGE, PAGE);
	release(region);
	munmap(addr, PAGES * PAGE);
	munmap(other, 64 * PAGE);
}

static void dirty(void)
{
	struct shared m = map_shared(PAGES * PAGE, 0);
	long region = get(m.addr, PAGES * PAGE, OD);

	fault("fault of a read-only region", region, m.addr, PAGE, 0);
	CALL(DMA_CLEAN, .addr = (uintptr_t)m.addr);
	CALL(DMA_UNMAP, .region = region, .addr = (uintptr_t)m.addr, .len = PAGE);
	show("dirty after a read-only region", CALL(DMA_IS_DIRTY,
						    .addr = (uintptr_t)m.addr));
	release(region);
	unmap_shared(m);
}

static void wraps(void)
{
	char *addr = odp_map(PAGES * PAGE);
	long region = get(addr, PAGES * PAGE, RW);

	fault("fault of a length that wraps", region, addr + 100, -1UL, 0);
	release(region);
	munmap(addr, PAGES * PAGE);
}

static void better(void)
{
	huge_pages();
	stale();
	not_mapped();
	dirty();
	wraps();
}

/* --- under load ------------------------------------------------------------------ */

#define STORM_PAGES	256

static const char *storm_memory;
static atomic_bool storm_over;

static size_t some_pages(unsigned short random[3], size_t *len)
{
	size_t first = odp_random(random, STORM_PAGES);

	*len = (1 + odp_random(random, STORM_PAGES - first)) * PAGE;
	return first * PAGE;
}

/* All pages are the one of zeroes: what goes wrong harms nobody. */
static void *give_back(void *unused)
{
	unsigned short random[3] = { 4, 5, 6 };
	size_t first, len;

	while (!storm_over) {
		first = some_pages(random, &len);
		madvise((void *)storm_memory + first, len, MADV_DONTNEED);
		for (size_t i = 0; i < len; i += PAGE)
			*(volatile const char *)(storm_memory + first + i);
	}
	return unused;
}

static void *prefetch(void *region)
{
	unsigned short random[3] = { 7, 8, (uintptr_t)&random };
	size_t first, len;

	while (!storm_over) {
		first = some_pages(random, &len);
		CALL(DMA_FAULT, .region = (long)region, .len = len,
		     .addr = (uintptr_t)storm_memory + first,
		     .flags = DMA_FAULT_SNAPSHOT);
	}
	return region;
}

/* Whether table and IOMMU always agree, while pages come and go. */
static void storm(void)
{
	unsigned long rounds = odp_env("ROUNDS", 1000), wrong = 0, i;
	pthread_t threads[3];
	long region;

	storm_memory = mmap(NULL, STORM_PAGES * PAGE, PROT_READ,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	region = CALL(DMA_GET, .addr = (uintptr_t)storm_memory, .len = STORM_PAGES * PAGE,
		      .access = OD, .flags = DMA_GET_CAREFUL);
	if (region < 0)
		odp_die(-region, "ib_umem_odp_get");
	pthread_create(&threads[0], NULL, give_back, NULL);
	pthread_create(&threads[1], NULL, prefetch, (void *)region);
	pthread_create(&threads[2], NULL, prefetch, (void *)region);
	for (i = 0; i < rounds && !wrong; i++) {
		wrong += CALL(DMA_CHECK, .region = region);
		usleep(10000);
	}
	storm_over = true;
	for (int t = 0; t < 3; t++)
		pthread_join(threads[t], NULL);
	printf("storm, %lu rounds: %lu wrong\n", i, wrong);
	release(region);
}

/* --- at the last moment ------------------------------------------------------------ */

static void *write_at(void *addr)
{
	char data[64];

	memset(data, 0x77, sizeof(data));
	CALL(DMA_WRITE_AT, .addr = (uintptr_t)addr, .len = sizeof(data),
	     .data = (uintptr_t)data);
	return addr;
}

/*
 * Page by page, the kernel unmaps lazily: a DMA that ends soon after the page was
 * taken away still finds it in what the IOMMU remembers. DMA_WRITE_AT is two DMAs of
 * 100 ms, so at some of these times the page goes shortly before the second's end.
 */
static void late(void)
{
	struct shared m = map_shared(8UL << 30, 0);
	long region = get(m.addr, m.len, RW);
	unsigned int writes = 0, count = 0;
	pthread_t thread;

	show_mode(region);
	for (unsigned int ms = 190; ms < 220; ms += 2) {
		uint64_t addr;
		char before;

		CALL(DMA_FAULT, .region = region, .addr = (uintptr_t)m.addr, .len = PAGE);
		if (device_write(region, m.addr, "x", 1))
			odp_die(0, "the device cannot write");
		addr = dma_address(region, 0);
		pthread_create(&thread, NULL, write_at, (void *)addr);
		usleep(ms * 1000);
		madvise(m.addr, PAGE, MADV_DONTNEED);
		before = *(volatile char *)m.alive;
		pthread_join(thread, NULL);
		writes += *(volatile char *)m.alive != before;
		count++;
	}
	printf("late writes, %u tries: %u wrong\n", count, writes);
	release(region);
	unmap_shared(m);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	umem_dma_open();
	if (!strcmp(what, "better"))
		better();
	else if (!strcmp(what, "storm"))
		storm();
	else if (!strcmp(what, "late"))
		late();
	else
		odp_die(0, "better, storm or late");
	return 0;
}
