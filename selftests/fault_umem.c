// SPDX-License-Identifier: GPL-2.0
/*
 * The six ib_umem_odp functions, called through /dev/umem_odp_abi, under fail-nth:
 * each allocation of a call fails once. A fault that fails gives the device nothing;
 * then it works, and the table has the process's pages.
 *
 * fault_umem NAME [N]
 * fault_umem hold       a umem in the file that is standard input: it outlives the process
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/fail_nth.h"
#include "lib/odp.h"
#include "modules/umem_odp_abi.h"

#define PAGES	24UL	/* more than a walk's own memory has entries for */
#define LEN	(PAGES * ODP_PAGE)
#define HUGE	(2UL << 20)
#define RW	(IBV_ACCESS_ON_DEMAND | IBV_ACCESS_LOCAL_WRITE)

static int fd = -1;
static unsigned char *memory;
static long object, root;

static struct umem_odp_abi call(enum umem_odp_abi_call which, long of, const void *addr,
				uint64_t len, unsigned int access, unsigned int fault)
{
	struct umem_odp_abi abi = {
		.call = which, .object = of, .addr = (uintptr_t)addr, .len = len,
		.access = access, .fault = fault,
	};

	if (ioctl(fd, UMEM_ODP_ABI, &abi))
		odp_die(errno, "UMEM_ODP_ABI");
	return abi;
}

/* Keeps the object. */
static int made(long *where, struct umem_odp_abi abi)
{
	if (abi.result < 0)
		return -abi.result;
	*where = abi.result;
	return 0;
}

static void must(int err, const char *what)
{
	if (err)
		odp_die(err, "%s", what);
}

/* --- the calls --- */

static int get(void)
{
	return made(&object, call(ABI_GET, 0, memory, LEN, RW, 0));
}

static int get_huge(void)
{
	return made(&object, call(ABI_GET, 0, memory, 2 * HUGE,
				  RW | IBV_ACCESS_HUGETLB, 0));
}

static int implicit(void)
{
	return made(&root, call(ABI_IMPLICIT, 0, NULL, 0, RW, 0));
}

static int child(void)
{
	return made(&object, call(ABI_CHILD, root, memory, LEN, 0, 0));
}

static int map(size_t len, bool write, bool fault)
{
	long result = call(ABI_MAP, object, memory, len, write, fault).result;

	return result < 0 ? -result : 0;
}

static int fault_write(void)
{
	return map(LEN, true, true);
}

static int fault_read(void)
{
	return map(LEN, false, true);
}

static int snapshot(void)
{
	return map(LEN, false, false);
}

static int fault_huge(void)
{
	return map(2 * HUGE, true, true);
}

static int release(void)
{
	call(ABI_RELEASE, object, NULL, 0, 0, 0);
	return 0;
}

static int unmap(void)
{
	call(ABI_UNMAP, object, memory, (uintptr_t)memory + LEN, 0, 0);
	return 0;
}

static int invalidate(void)
{
	return madvise(memory, LEN, MADV_DONTNEED) ? errno : 0;
}

/* --- before them --- */

static void open_device(void)
{
	fd = open("/dev/umem_odp_abi", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		odp_die(errno, "/dev/umem_odp_abi");
	memory = odp_map(LEN);
}

static void with_umem(void)
{
	open_device();
	must(get(), "get");
}

static void with_resident_umem(void)
{
	with_umem();
	memset(memory, 1, LEN);
}

/* A walk sees pages before it comes to those that have to be faulted in. */
static void with_half_umem(void)
{
	with_umem();
	memset(memory, 1, LEN / 2);
}

static void with_mapped_umem(void)
{
	with_umem();
	must(fault_write(), "fault");
}

static void with_root(void)
{
	open_device();
	must(implicit(), "implicit");
}

static void with_huge_pages(void)
{
	open_device();
	memory = mmap(NULL, 2 * HUGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		odp_die(errno, "huge pages");
}

static void with_huge_umem(void)
{
	with_huge_pages();
	must(get_huge(), "get, huge");
}

/* --- and after --- */

/* How many of the entries are valid; those of the process's pages, if page is not 0. */
static unsigned int entries(unsigned long count, size_t page)
{
	unsigned int valid = 0;

	for (unsigned long i = 0; i < count; i++) {
		struct umem_odp_abi abi = {
			.call = ABI_ENTRY, .object = object, .addr = i,
			.len = page ? (uintptr_t)memory + i * page : 0,
		};

		if (ioctl(fd, UMEM_ODP_ABI, &abi) || abi.result)
			odp_die(errno, "entry %lu", i);
		valid += (abi.out[0] & ABI_VALID) && (!page || abi.out[2]);
	}
	return valid;
}

static bool none_of(unsigned long count)
{
	return !entries(count, 0) && !call(ABI_STATE, object, NULL, 0, 0, 0).result;
}

/* A call that failed has given nothing to the device. */
static bool is_empty(void)
{
	return none_of(PAGES);
}

static bool is_huge_empty(void)
{
	return none_of(2);
}

/* All pages, and the right ones; and none when they are given back. */
static bool has_pages(void)
{
	if (entries(PAGES, ODP_PAGE) != PAGES)
		return false;
	if (madvise(memory, LEN, MADV_DONTNEED))
		odp_die(errno, "MADV_DONTNEED");
	return is_empty();
}

static bool has_huge_pages(void)
{
	return entries(2, HUGE) == 2 && !release();
}

static bool works(void)
{
	must(fault_write(), "fault");
	return has_pages() && !release();
}

static bool works_huge(void)
{
	must(fault_huge(), "fault");
	return has_huge_pages();
}

static bool has_children(void)
{
	must(child(), "child");
	return works();
}

static bool is_released(void)
{
	must(get(), "get");
	return works();
}

static bool is_unmapped(void)
{
	return is_empty() && works();
}

static const struct sweep sweeps[] = {
	{ "get", open_device, get, works, NULL },
	{ "get-huge", with_huge_pages, get_huge, works_huge, NULL },
	{ "implicit", open_device, implicit, has_children, NULL },
	{ "child", with_root, child, works, NULL },
	{ "fault-write", with_umem, fault_write, has_pages, is_empty },
	{ "fault-partly", with_half_umem, fault_write, has_pages, is_empty },
	{ "fault-read", with_umem, fault_read, has_pages, is_empty },
	{ "fault-huge", with_huge_umem, fault_huge, has_huge_pages, is_huge_empty },
	{ "snapshot", with_resident_umem, snapshot, has_pages, is_empty },
	{ "unmap", with_mapped_umem, unmap, is_unmapped, NULL },
	{ "invalidate", with_mapped_umem, invalidate, is_unmapped, NULL },
	{ "release", with_mapped_umem, release, is_released, NULL },
};

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "hold")) {
		fd = STDIN_FILENO;
		memory = odp_map(LEN);
		must(get(), "get");
		must(fault_write(), "fault");
		return ODP_OK;
	}
	return SWEEP_MAIN(argc, argv, sweeps);
}
