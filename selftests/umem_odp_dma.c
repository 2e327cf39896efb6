// SPDX-License-Identifier: GPL-2.0
/*
 * A region of a device with real DMA, from its registration to its release, by
 * /dev/umem_odp_dma. Each step prints a line, which depends on the implementation
 * of ib_umem_odp and on the machine's IOMMU alone, so that C's and Rust's can be
 * compared. Lines of "same" must be the same, those of "better" differ.
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include "lib/umem_dma.h"

#define PAGE	ODP_PAGE
#define PAGES	16

static void try_get(const char *what, uint64_t addr, uint64_t len, int access)
{
	struct umem_odp_dma arg = { .call = DMA_STATE };
	int64_t region = CALL(DMA_GET, .addr = addr, .len = len, .access = access);

	if (region < 0) {
		show(what, region);
		return;
	}
	arg.region = region;
	call(&arg);
	printf("%s: from %+lld to %+lld, shift %llu, flags %llu, npages %lld\n", what,
	       (long long)(arg.out[0] - addr), (long long)(arg.out[1] - addr - len),
	       (unsigned long long)arg.out[2], (unsigned long long)arg.out[3],
	       (long long)arg.result);
	release(region);
}

static void registration(void)
{
	uint64_t base = (uintptr_t)odp_map(4 * HUGE) & ~(HUGE - 1);

	try_get("get a page", base, PAGE, OD);
	try_get("get writable pages", base, 3 * PAGE, RW);
	try_get("get unaligned", base + 100, PAGE, RW);
	try_get("get huge", base + 100, PAGE, RW | IBV_ACCESS_HUGETLB);
	try_get("get nothing", base, 0, RW);
	try_get("get past the last address", -PAGE, 2 * PAGE, RW);
	try_get("get too much for a table", 0, 1ULL << 46, RW);
	try_get("get all that there is", 0, UINT64_MAX, RW);
}

static void faults(void)
{
	struct shared m = map_shared(PAGES * PAGE, 0);
	long rw = get(m.addr, PAGES * PAGE, RW);

	show_mode(rw);
	table("no fault yet", rw, m.addr, PAGE, PAGES);
	reads("before a fault", rw, m.addr, 64);
	fault("snapshot", rw, m.addr, 4 * PAGE, DMA_FAULT_SNAPSHOT);
	table("after it", rw, m.addr, PAGE, PAGES);
	fault("fault for reading", rw, m.addr + 8 * PAGE, 2 * PAGE, DMA_FAULT_DOWNGRADE);
	table("after it", rw, m.addr, PAGE, PAGES);
	reads("a page for reading", rw, m.addr + 9 * PAGE + 8, PAGE - 8);
	writes("a page for reading", rw, m.addr + 9 * PAGE, 64);
	fault("fault for writing, unaligned", rw, m.addr + 9 * PAGE + 9, PAGE, 0);
	table("after it", rw, m.addr, PAGE, PAGES);
	writes("a page", rw, m.addr + 9 * PAGE + 1, PAGE - 2);
	fault("fault that the driver does not map", rw, m.addr + 12 * PAGE, PAGE,
	      DMA_FAULT_NO_UPDATE);
	table("after it", rw, m.addr, PAGE, PAGES);
	fault("fault of all", rw, m.addr, PAGES * PAGE, 0);
	table("after it", rw, m.addr, PAGE, PAGES);
	for (int i = 0; i < PAGES; i += 5) {
		reads("any page", rw, m.addr + i * PAGE, PAGE);
		writes("any page", rw, m.addr + i * PAGE, PAGE);
	}
	CALL(DMA_UNMAP, .region = rw, .addr = (uintptr_t)m.addr + 2 * PAGE, .len = 3 * PAGE);
	table("after unmap of pages 2 to 4", rw, m.addr, PAGE, PAGES);
	reads("an unmapped page", rw, m.addr + 3 * PAGE, 64);
	fault("fault of nothing", rw, m.addr + 3 * PAGE, 0, 0);
	fault("fault before the region", rw, m.addr - 1, 2, 0);
	fault("fault past the region", rw, m.addr, PAGES * PAGE + 1, 0);
	fault("fault far away", rw, NULL, PAGE, 0);
	mprotect(m.addr + 5 * PAGE, PAGE, PROT_READ);
	table("after mprotect of page 5 to read-only", rw, m.addr, PAGE, PAGES);
	fault("fault of a read-only page for writing", rw, m.addr + 5 * PAGE, 9, 0);
	fault("fault of a read-only page for reading", rw, m.addr + 5 * PAGE, 9,
	      DMA_FAULT_DOWNGRADE);
	reads("a read-only page", rw, m.addr + 5 * PAGE, 64);
	writes("a read-only page", rw, m.addr + 5 * PAGE, 64);
	mprotect(m.addr + 6 * PAGE, PAGE, PROT_NONE);
	fault("fault of a PROT_NONE page", rw, m.addr + 6 * PAGE, 9, DMA_FAULT_DOWNGRADE);
	munmap(m.addr + 7 * PAGE, PAGE);
	fault("fault of a hole", rw, m.addr + 7 * PAGE, PAGE, 0);
	fault("snapshot with a hole", rw, m.addr, PAGES * PAGE, DMA_FAULT_SNAPSHOT);
	table("after it", rw, m.addr, PAGE, PAGES);
	release(rw);
	unmap_shared(m);
}

/* A page becomes writable in its place: nothing is invalidated, its IOVA stays. */
static void upgrade(void)
{
	char *addr = odp_map(PAGES * PAGE);
	long rw = get(addr, PAGES * PAGE, RW);

	odp_stay_on_processor();
	fault("read fault of untouched memory", rw, addr, 4 * PAGE, DMA_FAULT_DOWNGRADE);
	table("after it", rw, addr, PAGE, 8);
	reads("zeroes", rw, addr + PAGE, 64);
	fault("write fault after it", rw, addr, 2 * PAGE, 0);
	table("after it", rw, addr, PAGE, 8);
	writes("what was zeroes", rw, addr + PAGE, PAGE);
	odp_share_with_child();
	table("after fork", rw, addr, PAGE, 8);
	fault("read fault after fork", rw, addr, 2 * PAGE, DMA_FAULT_DOWNGRADE);
	table("after it", rw, addr, PAGE, 8);
	fault("write fault in place", rw, addr, 2 * PAGE, 0);
	table("after it", rw, addr, PAGE, 8);
	writes("a page after fork", rw, addr + PAGE, PAGE);
	release(rw);
	munmap(addr, PAGES * PAGE);
}

static void dirty(const char *what, long region, char *addr)
{
	CALL(DMA_CLEAN, .addr = (uintptr_t)addr);
	CALL(DMA_UNMAP, .region = region, .addr = (uintptr_t)addr, .len = PAGE);
	show(what, CALL(DMA_IS_DIRTY, .addr = (uintptr_t)addr));
}

static void dirtying(void)
{
	struct shared m = map_shared(PAGES * PAGE, 0);
	long rw = get(m.addr, PAGES * PAGE, RW), ro = get(m.addr, PAGES * PAGE, OD);

	fault("fault for writing", rw, m.addr, PAGE, 0);
	writes("a clean page", rw, m.addr, 64);
	dirty("dirty after a writable mapping", rw, m.addr);
	fault("fault for reading", rw, m.addr + PAGE, PAGE, DMA_FAULT_DOWNGRADE);
	dirty("dirty after a mapping for reading of a writable page", rw, m.addr + PAGE);
	fault("fault of a read-only region", ro, m.addr + 2 * PAGE, PAGE, 0);
	reads("a read-only region", ro, m.addr + 2 * PAGE, 64);
	writes("a read-only region", ro, m.addr + 2 * PAGE, 64);
	fault("fault that the driver does not map", rw, m.addr + 3 * PAGE, PAGE,
	      DMA_FAULT_NO_UPDATE);
	dirty("dirty after a fault that was not mapped", rw, m.addr + 3 * PAGE);
	release(ro);
	release(rw);
	unmap_shared(m);
}

/* Two regions on the same memory have their own IOVA, and lose a page both. */
static void two_regions(void)
{
	struct shared m = map_shared(4 * PAGE, 0);
	long one = get(m.addr, 4 * PAGE, RW), two = get(m.addr + PAGE, 2 * PAGE, RW);

	fault("one region", one, m.addr, 4 * PAGE, 0);
	fault("another region", two, m.addr + PAGE, 2 * PAGE, 0);
	printf("they share DMA addresses: %s\n", !mode(one) ? "not known" :
	       dma_address(one, 1) == dma_address(two, 0) ? "yes" : "no");
	writes("by one", one, m.addr + PAGE, 64);
	writes("by the other", two, m.addr + PAGE, 64);
	madvise(m.addr + PAGE, PAGE, MADV_DONTNEED);
	table("one, after MADV_DONTNEED", one, m.addr, PAGE, 4);
	table("the other, after MADV_DONTNEED", two, m.addr + PAGE, PAGE, 2);
	release(one);
	reads("by the other, after the end of the one", two, m.addr + 2 * PAGE, 64);
	release(two);
	unmap_shared(m);
}

/* --- revocation ------------------------------------------------------------------ */

static void take_by_munmap(char *addr, size_t size)
{
	munmap(addr, size);
}

static void take_by_dontneed(char *addr, size_t size)
{
	madvise(addr, size, MADV_DONTNEED);
}

static void take_by_mprotect(char *addr, size_t size)
{
	mprotect(addr, size, PROT_NONE);
}

static void take_by_mremap(char *addr, size_t size)
{
	if (mremap(addr, size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
		   odp_map(2 * size)) == MAP_FAILED)
		odp_die(errno, "mremap");
}

/* What was linked in IOVA is not any more, to the last of its bytes. */
static void revocation(const char *what, size_t size,
		       void (*take)(char *addr, size_t size))
{
	size_t len = size == HUGE ? size : PAGES * size;
	struct shared m = map_shared(len, size == HUGE ? MFD_HUGETLB : 0);
	char *addr = len == size ? m.addr : m.addr + 3 * size;
	long rw = get(m.addr, len, RW | (size == HUGE ? IBV_ACCESS_HUGETLB : 0));
	uint64_t iova;

	section(what);
	fault("fault", rw, m.addr, len, 0);
	table("mapped", rw, m.addr, size, len / size);
	iova = dma_address(rw, (addr - m.addr) / size);
	memset(addr + size - PAGE, 0x5a, PAGE);
	writes("its first bytes", rw, addr, 64);
	reads("its last page", rw, addr + size - PAGE, PAGE);
	take(addr, size);
	table("taken away", rw, m.addr, size, len / size);
	reads("what is gone", rw, addr, 64);
	if (mode(rw) == DMA_MODE_IOVA) {
		dead("its start", iova, m.alive + (addr - m.addr));
		if (size == HUGE)
			dead("its last page", iova + size - PAGE,
			     m.alive + (addr - m.addr) + size - PAGE);
	}
	release(rw);
	unmap_shared(m);
}

/* The memory of a process that registered it, and exited. */
static void owner_exit(void)
{
	struct shared m = map_shared(4 * PAGE, 0);
	long regions[2];
	int ends[2], status;
	uint64_t iova;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
		odp_die(errno, "socketpair");
	pid = fork();
	if (!pid) {
		regions[0] = get(m.addr, 4 * PAGE, RW);
		regions[1] = CALL(DMA_IMPLICIT, .access = RW);
		fault("fault of an owner", regions[0], m.addr, 4 * PAGE, 0);
		writes("an owner's memory", regions[0], m.addr, PAGE);
		if (write(ends[1], regions, sizeof(regions)) != sizeof(regions) ||
		    read(ends[1], &status, sizeof(status)) < 0)
			_exit(1);
		_exit(0);
	}
	if (read(ends[0], regions, sizeof(regions)) != sizeof(regions))
		odp_die(errno, "no word of the owner");
	iova = dma_address(regions[0], 0);
	if (write(ends[0], "word", 4) != 4 || waitpid(pid, &status, 0) != pid || status)
		odp_die(0, "the owner failed");
	table("after the owner's exit", regions[0], m.addr, PAGE, 4);
	if (mode(regions[0]) == DMA_MODE_IOVA)
		dead("memory of an owner that exited", iova, m.alive);
	fault("fault of an owner that exited", regions[0], m.addr, PAGE, 0);
	show_region("child of an owner that exited",
		    CALL(DMA_CHILD, .region = regions[1], .addr = (uintptr_t)m.addr,
			 .len = PAGE));
	release(regions[0]);
	release(regions[1]);
	unmap_shared(m);
}

static void implicit(void)
{
	struct shared m = map_shared(64 << 20, 0);
	long root = show_region("implicit", CALL(DMA_IMPLICIT, .access = RW));
	long child = show_region("child of 64 MiB",
				 CALL(DMA_CHILD, .region = root,
				      .addr = (uintptr_t)m.addr, .len = m.len));
	char *end = m.addr + m.len;

	show_region("implicit, huge", CALL(DMA_IMPLICIT, .access = RW | IBV_ACCESS_HUGETLB));
	fault("fault of an implicit region", root, m.addr, PAGE, 0);
	fault("fault of the child", child, m.addr, 8 * PAGE, 0);
	fault("fault of its last page", child, end - 1, 1, 0);
	table("the child", child, m.addr, PAGE, PAGES);
	writes("the child", child, m.addr + PAGE, 64);
	writes("its last page", child, end - PAGE, PAGE);
	fault("fault past the child", child, end - 1, 2, 0);
	madvise(m.addr, PAGE, MADV_DONTNEED);
	table("after MADV_DONTNEED of page 0", child, m.addr, PAGE, PAGES);
	release(child);
	release(root);
	unmap_shared(m);
}

/* --- data ------------------------------------------------------------------------ */

/* As a device does: a page that is missing is faulted in, and it goes on. */
static unsigned long access_memory(long region, char *addr, char *data, size_t len,
				   bool write)
{
	unsigned int flags = write ? 0 : DMA_FAULT_DOWNGRADE;

	for (unsigned long faults = 0; ; faults++) {
		int64_t result = write ? device_write(region, addr, data, len) :
					 device_read(region, addr, data, len);

		if (!result)
			return faults;
		if (result == -EFAULT && !faults)
			result = CALL(DMA_FAULT, .region = region, .flags = flags,
				      .addr = (uintptr_t)addr, .len = len);
		if (result < 0)
			odp_die(-result, "DMA");
	}
}

/* Random places and lengths, while pages are given back. */
static void data(const char *what, char *memory, size_t len, int access, bool give_back)
{
	unsigned long wrong = 0, faults = 0, count = odp_env("COUNT", 60);
	unsigned short random[3] = { 1, 2, 3 };
	size_t page = access & IBV_ACCESS_HUGETLB ? HUGE : PAGE;
	long region = get(memory, len, access);
	char data[DMA_MAX_LEN], *want = calloc(1, len);

	if (!want)
		odp_die(ENOMEM, "calloc");
	for (unsigned long i = 0; i < count; i++) {
		size_t at = odp_random(random, len), rest = page - at % page;
		size_t n = 1 + odp_random(random, rest < DMA_MAX_LEN ? rest : DMA_MAX_LEN);
		bool write = odp_random(random, 2);

		if (write)
			memset(data, 1 + i % 255, n);
		faults += access_memory(region, memory + at, data, n, write);
		if (write)
			memcpy(want + at, data, n);
		else
			wrong += !!memcmp(want + at, data, n);
		wrong += !!memcmp(want + at, memory + at, n);
		if (give_back && !odp_random(random, 4)) {
			at -= at % PAGE;
			madvise(memory + at, PAGE, MADV_DONTNEED);
			memset(want + at, 0, PAGE);
		}
	}
	wrong += !!memcmp(want, memory, len);
	printf("data, %s: %lu operations, %s, %lu wrong\n", what, count,
	       faults ? "faulted in" : "no fault", wrong);
	release(region);
	free(want);
	munmap(memory, len);
}

static void all_data(void)
{
	data("4 KiB pages", odp_map(64 * PAGE), 64 * PAGE, RW, true);
	data("THP", map_huge(HUGE, 0), 64 * PAGE, RW, true);
	data("THP as one page", map_huge(HUGE, 0), HUGE, RW | IBV_ACCESS_HUGETLB, false);
	data("hugetlb as 4 KiB pages", map_huge(HUGE, MAP_HUGETLB), 64 * PAGE, RW, false);
	data("hugetlb", map_huge(HUGE, MAP_HUGETLB), HUGE, RW | IBV_ACCESS_HUGETLB, false);
}

static void same(void)
{
	section("registration");
	registration();
	section("faults");
	faults();
	section("upgrade to writing");
	upgrade();
	section("dirty pages");
	dirtying();
	section("two regions on the same memory");
	two_regions();
	section("exit of the owner");
	owner_exit();
	section("implicit");
	implicit();
	section("data");
	all_data();
	revocation("munmap, 4 KiB pages", PAGE, take_by_munmap);
	revocation("MADV_DONTNEED, 4 KiB pages", PAGE, take_by_dontneed);
	revocation("mprotect, 4 KiB pages", PAGE, take_by_mprotect);
	revocation("mremap, 4 KiB pages", PAGE, take_by_mremap);
	revocation("munmap, 2 MiB pages", HUGE, take_by_munmap);
	revocation("MADV_DONTNEED, 2 MiB pages", HUGE, take_by_dontneed);
	revocation("mprotect, 2 MiB pages", HUGE, take_by_mprotect);
}

/* --- other devices and memory ------------------------------------------------------ */

/* The device's DMA mask is too small, or its memory has no range of IOVA. */
static void refused(void)
{
	char *addr = odp_map(PAGES * PAGE);
	long root = show_region("implicit", CALL(DMA_IMPLICIT, .access = RW));

	show_region("explicit", CALL(DMA_GET, .addr = (uintptr_t)addr,
				     .len = PAGES * PAGE, .access = RW));
	show_region("child", CALL(DMA_CHILD, .region = root, .addr = (uintptr_t)addr,
				  .len = PAGES * PAGE));
	release(root);
}

/* More than there is IOVA: each page has a DMA address of its own. */
static void list(void)
{
	struct shared m = map_shared(8UL << 30, 0);
	char *end = m.addr + m.len;
	long rw = get(m.addr, m.len, RW);

	show_mode(rw);
	fault("fault", rw, m.addr, 4 * PAGE, 0);
	fault("fault of the last page", rw, end - 1, 1, 0);
	table("table", rw, m.addr, PAGE, 8);
	writes("a page", rw, m.addr + 3 * PAGE, PAGE);
	writes("the last page", rw, end - PAGE, PAGE);
	reads("the last page", rw, end - PAGE, PAGE);
	fault("fault again", rw, m.addr, 4 * PAGE, 0);
	table("table", rw, m.addr, PAGE, 8);
	madvise(m.addr + PAGE, PAGE, MADV_DONTNEED);
	table("table after MADV_DONTNEED", rw, m.addr, PAGE, 8);
	reads("what is gone", rw, m.addr + PAGE, 64);
	release(rw);
	unmap_shared(m);
}

/* Memory of another PCI device. */
static void p2pdma(const char *path)
{
	int fd = open(path, O_RDWR);
	char *addr = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	long rw;

	if (fd < 0 || addr == MAP_FAILED)
		odp_die(errno, "%s", path);
	memset(addr, 0x33, 4 * PAGE);
	rw = get(addr, 4 * PAGE, RW);
	fault("fault of P2PDMA memory", rw, addr, 2 * PAGE, 0);
	table("table", rw, addr, PAGE, 4);
	writes("P2PDMA memory", rw, addr, 64);
	reads("P2PDMA memory", rw, addr + PAGE, PAGE);
	CALL(DMA_UNMAP, .region = rw, .addr = (uintptr_t)addr, .len = 2 * PAGE);
	table("table after unmap", rw, addr, PAGE, 4);
	release(rw);
	munmap(addr, 4 * PAGE);
	close(fd);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	umem_dma_open();
	if (!strcmp(what, "same"))
		same();
	else if (!strcmp(what, "refused"))
		refused();
	else if (!strcmp(what, "list"))
		list();
	else if (!strcmp(what, "p2pdma") && argc == 3)
		p2pdma(argv[2]);
	else
		odp_die(0, "same, refused, list, or p2pdma FILE");
	return 0;
}
