// SPDX-License-Identifier: GPL-2.0
/*
 * Regions of a device with real DMA that live on while their implementation
 * changes: see umem_odp_dma.c. At each "-- change" this waits for a line.
 */
#define _GNU_SOURCE
#include "lib/umem_dma.h"

#define PAGE	ODP_PAGE
#define PAGES	16

static void change(void)
{
	char line[16];

	section("change");
	if (!fgets(line, sizeof(line), stdin))
		odp_die(0, "no word that the implementation has changed");
}

static void gone(const char *what, long region, uint64_t iova, const char *alive)
{
	if (mode(region) == DMA_MODE_IOVA)
		dead(what, iova, alive);
}

static long child_of(long root, struct shared m)
{
	return show_region("child", CALL(DMA_CHILD, .region = root, .len = m.len,
					 .addr = (uintptr_t)m.addr));
}

/* A page that is mapped by one implementation, and unmapped by the other. */
static void dirty(const char *what, long region, char *addr)
{
	CALL(DMA_CLEAN, .addr = (uintptr_t)addr);
	CALL(DMA_UNMAP, .region = region, .addr = (uintptr_t)addr, .len = PAGE);
	show(what, CALL(DMA_IS_DIRTY, .addr = (uintptr_t)addr));
}

static void across(void)
{
	struct shared m = map_shared(PAGES * PAGE, 0), huge = map_shared(HUGE, MFD_HUGETLB);
	struct shared m2 = map_shared(PAGES * PAGE, 0), m3 = map_shared(PAGES * PAGE, 0);
	long region = get(m.addr, m.len, RW);
	long big = get(huge.addr, HUGE, RW | IBV_ACCESS_HUGETLB);
	long root = show_region("implicit", CALL(DMA_IMPLICIT, .access = RW));
	long child = child_of(root, m2), second;
	uint64_t iova, huge_iova;

	fault("fault", region, m.addr, 8 * PAGE, 0);
	fault("fault for reading", region, m.addr + 8 * PAGE, 4 * PAGE, DMA_FAULT_DOWNGRADE);
	fault("fault, huge", big, huge.addr, HUGE, 0);
	fault("fault of the child", child, m2.addr, m2.len, 0);
	writes("a page", region, m.addr, PAGE);
	writes("a huge page", big, huge.addr + HUGE - PAGE, PAGE);
	table("explicit", region, m.addr, PAGE, PAGES);
	iova = dma_address(region, 3);
	huge_iova = dma_address(big, 0);

	change();
	table("explicit", region, m.addr, PAGE, PAGES);
	table("huge", big, huge.addr, HUGE, 1);
	table("child", child, m2.addr, PAGE, PAGES);
	reads("a page", region, m.addr + 3 * PAGE, PAGE);
	reads("a huge page", big, huge.addr + HUGE - PAGE, PAGE);
	madvise(m.addr + 3 * PAGE, PAGE, MADV_DONTNEED);
	madvise(huge.addr, HUGE, MADV_DONTNEED);
	madvise(m2.addr + 3 * PAGE, PAGE, MADV_DONTNEED);
	table("explicit, page 3 given back", region, m.addr, PAGE, PAGES);
	table("huge, given back", big, huge.addr, HUGE, 1);
	table("child, page 3 given back", child, m2.addr, PAGE, PAGES);
	gone("page 3", region, iova, m.alive + 3 * PAGE);
	gone("the huge page", big, huge_iova + HUGE - PAGE, huge.alive + HUGE - PAGE);
	dirty("dirty after the other's mapping", region, m.addr + 5 * PAGE);
	fault("fault of all", region, m.addr, m.len, 0);
	fault("fault, huge", big, huge.addr, HUGE, 0);
	table("explicit", region, m.addr, PAGE, PAGES);
	writes("a page that was for reading", region, m.addr + 8 * PAGE, PAGE);
	writes("a huge page", big, huge.addr, PAGE);
	second = child_of(root, m3);
	fault("fault of the second child", second, m3.addr, m3.len, 0);

	change();
	table("explicit", region, m.addr, PAGE, PAGES);
	table("second child", second, m3.addr, PAGE, PAGES);
	munmap(m.addr, PAGE);
	munmap(huge.addr, HUGE);
	table("explicit, page 0 unmapped", region, m.addr, PAGE, PAGES);
	table("huge, unmapped", big, huge.addr, HUGE, 1);
	gone("page 0", region, iova - 3 * PAGE, m.alive);
	gone("the huge page", big, huge_iova, huge.alive);
	dirty("dirty after the other's mapping", region, m.addr + 6 * PAGE);
	fault("fault of the child", child, m2.addr, m2.len, 0);
	reads("the child", child, m2.addr + 3 * PAGE, PAGE);
	iova = dma_address(child, 3);
	show("wrong entries", CALL(DMA_CHECK, .region = region));
	release(child);
	gone("a page of the child that was released", second, iova, m2.alive + 3 * PAGE);
	release(second);
	release(big);
	release(region);
	release(root);
}

/* Entries that C's fault left when it failed are not mapped by another's. */
static void leftovers(void)
{
	char *addr = odp_map(PAGES * PAGE), *other = odp_map(64 * PAGE);
	long region = get(addr, PAGES * PAGE, RW);

	memset(addr, 1, PAGES * PAGE);
	munmap(addr + 8 * PAGE, PAGE);
	fault("fault with a hole", region, addr, PAGES * PAGE, 0);
	change();
	madvise(addr + PAGE, 3 * PAGE, MADV_DONTNEED);
	memset(other, 2, 64 * PAGE);	/* takes the pages over */
	memset(addr + PAGE, 3, 3 * PAGE);
	fault("fault of a neighbour", region, addr, PAGE, 0);
	table("leftovers, neighbour mapped", region, addr, PAGE, 8);
	reads("a page that was given back", region, addr + PAGE, PAGE);
	release(region);
}

/* From registration to release, with all ways out of a mapping in turn. */
static void cycles(void)
{
	unsigned long count = odp_env("CYCLES", 1000), mapped = 0;
	struct shared huge = map_shared(HUGE, MFD_HUGETLB);

	for (unsigned long i = 0; i < count; i++) {
		struct shared m = map_shared(64 * PAGE, 0);
		long region = get(m.addr, m.len, RW), child;
		long big = get(huge.addr, HUGE, RW | IBV_ACCESS_HUGETLB);
		long root = CALL(DMA_IMPLICIT, .access = RW);

		child = CALL(DMA_CHILD, .region = root, .addr = (uintptr_t)m.addr,
			     .len = m.len);
		for (int j = 0; j < 2; j++) {
			mapped += CALL(DMA_FAULT, .region = region, .len = m.len,
				       .addr = (uintptr_t)m.addr) == 64;
			mapped += CALL(DMA_FAULT, .region = child, .len = m.len,
				       .addr = (uintptr_t)m.addr) == 64;
			mapped += CALL(DMA_FAULT, .region = big, .len = HUGE,
				       .addr = (uintptr_t)huge.addr) == 1;
			madvise(m.addr, i % 64 * PAGE, MADV_DONTNEED);
		}
		if (i % 3 == 0)
			unmap_shared(m);
		release(child);
		release(root);
		release(region);
		release(big);
		if (i % 3)
			unmap_shared(m);
	}
	printf("%lu cycles, %lu faults right\n", count, mapped);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	umem_dma_open();
	if (!strcmp(what, "across"))
		across();
	else if (!strcmp(what, "leftovers"))
		leftovers();
	else if (!strcmp(what, "cycles"))
		cycles();
	else
		odp_die(0, "across, leftovers or cycles");
	return 0;
}
