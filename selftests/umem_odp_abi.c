// SPDX-License-Identifier: GPL-2.0
/*
 * Calls the six ib_umem_odp functions through /dev/umem_odp_abi, and prints a
 * line "what: result" a call. The lines depend on the implementation alone, so
 * that C's and Rust's can be compared. The argument "same" gives what both must
 * have in common, "better" what Rust is to do otherwise.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <infiniband/verbs.h>

#include "lib/odp.h"
#include "modules/umem_odp_abi.h"

#define PAGES	16
#define HUGE	(2UL << 20)
#define OD	IBV_ACCESS_ON_DEMAND
#define RW	(OD | IBV_ACCESS_LOCAL_WRITE)

static int fd;

static struct umem_odp_abi call(enum umem_odp_abi_call which, long object,
				uint64_t addr, uint64_t len,
				unsigned int access, unsigned int fault)
{
	struct umem_odp_abi abi = {
		.call = which, .object = object, .addr = addr, .len = len,
		.access = access, .fault = fault,
	};

	if (ioctl(fd, UMEM_ODP_ABI, &abi))
		odp_die(errno, "UMEM_ODP_ABI");
	return abi;
}

static void show(const char *what, int64_t result)
{
	if (result < 0)
		printf("%s: %s\n", what, strerrorname_np(-result));
	else
		printf("%s: %lld\n", what, (long long)result);
}

/* An object's number is of no interest, but that there is one. */
static long show_object(const char *what, struct umem_odp_abi abi)
{
	show(what, abi.result < 0 ? abi.result : 0);
	return abi.result;
}

static void release(long object)
{
	if (object >= 0)
		call(ABI_RELEASE, object, 0, 0, 0, 0);
}

static void get(const char *what, uint64_t addr, uint64_t len, int access)
{
	struct umem_odp_abi abi = call(ABI_GET, 0, addr, len, access, 0);
	long object = show_object(what, abi);

	if (object < 0)
		return;
	abi = call(ABI_STATE, object, 0, 0, 0, 0);
	printf("%s: from %+lld to %+lld, shift %llu, flags %llu, npages %lld\n",
	       what, (long long)(abi.out[0] - addr),
	       (long long)(abi.out[1] - addr - len),
	       (unsigned long long)abi.out[2], (unsigned long long)abi.out[3],
	       (long long)abi.result);
	release(object);
}

static void map(const char *what, long object, uint64_t addr, uint64_t len,
		unsigned int write, unsigned int fault)
{
	show(what, call(ABI_MAP, object, addr, len, write, fault).result);
}

static void unmap(long object, uint64_t addr, uint64_t end)
{
	call(ABI_UNMAP, object, addr, end, 0, 0);
}

/* Each page: '-' absent, 'r' or 'w' for what it allows, '!' for a wrong page. */
static void table(const char *what, long object, uint64_t addr, size_t size,
		  unsigned int pages)
{
	char text[64] = "";
	unsigned int i;

	for (i = 0; i < pages && i < sizeof(text) - 1; i++) {
		struct umem_odp_abi abi = call(ABI_ENTRY, object, i,
					       addr + i * size, 0, 0);

		if (!(abi.out[0] & ABI_VALID))
			text[i] = '-';
		else if (!abi.out[2])
			text[i] = '!';
		else
			text[i] = abi.out[0] & ABI_WRITE ? 'w' : 'r';
	}
	printf("%s: %s, npages %lld\n", what, text,
	       (long long)call(ABI_STATE, object, 0, 0, 0, 0).result);
}

static uint64_t align_huge(uint64_t addr)
{
	return (addr + HUGE - 1) & ~(HUGE - 1);
}

static void registration(void)
{
	uint64_t base = align_huge((uintptr_t)odp_map(2 * HUGE));

	get("get read-only", base, 4096, OD);
	get("get writable", base, 3 * 4096, RW);
	get("get remote atomic", base, 1, OD | IBV_ACCESS_REMOTE_ATOMIC);
	get("get unaligned", base + 100, 4096, RW);
	get("get within a page", base + 100, 1, RW);
	get("get nothing", base, 0, RW);
	get("get nothing, unaligned", base + 100, 0, RW);
	get("get up to the last address", -4096ULL, 4095, RW);
	get("get past the last address", -4096ULL, 8192, RW);
	get("get the whole address space", 0, UINT64_MAX, RW);
	get("get into the last page", UINT64_MAX - 8192, 8192, RW);
	get("get beyond user space", 1ULL << 60, 4096, RW);
	get("get where nothing is mapped", 4096, 4096, RW);
	get("get huge", base, 4096, RW | IBV_ACCESS_HUGETLB);
	get("get huge, over a boundary", base + HUGE - 100, 200,
	    RW | IBV_ACCESS_HUGETLB);
	get("get huge, nothing", HUGE, 0, RW | IBV_ACCESS_HUGETLB);
}

static void faults(char *memory)
{
	uint64_t base = (uintptr_t)memory;
	long rw = call(ABI_GET, 0, base, PAGES * 4096, RW, 0).result;

	map("snapshot of absent pages", rw, base, PAGES * 4096, 0, 0);
	/* The look at a page brings it in, as the zero page. */
	table("table after it", rw, base, 4096, PAGES);
	map("snapshot of zero pages", rw, base, PAGES * 4096, 0, 0);
	table("table after it", rw, base, 4096, PAGES);
	memset(memory, 1, 3 * 4096);
	map("snapshot of present pages", rw, base, 8 * 4096, 0, 0);
	table("table after it", rw, base, 4096, PAGES);
	map("fault for reading", rw, base + 5 * 4096, 2 * 4096, 0, 1);
	table("table after it", rw, base, 4096, PAGES);
	map("fault for writing, unaligned", rw, base + 6 * 4096 + 9, 4096, 1, 1);
	table("table after it", rw, base, 4096, PAGES);
	map("fault of nothing, unaligned", rw, base + 9 * 4096 + 9, 0, 1, 1);
	map("fault of nothing", rw, base + 4096, 0, 1, 1);
	map("fault of all", rw, base, PAGES * 4096, 1, 1);
	table("table after it", rw, base, 4096, PAGES);
	map("fault before the umem", rw, base - 1, 2, 1, 1);
	map("fault past the umem", rw, base, PAGES * 4096 + 1, 1, 1);
	map("fault far away", rw, 0, 4096, 1, 1);
	map("fault of everything", rw, base, 1ULL << 62, 1, 1);
	map("fault of a length that wraps", rw, base, -8192ULL, 1, 1);
	unmap(rw, base + 2 * 4096, base + 4 * 4096);
	table("table after unmap of pages 2 and 3", rw, base, 4096, PAGES);
	unmap(rw, 0, UINT64_MAX);
	table("table after unmap of everything", rw, base, 4096, PAGES);
	map("fault again", rw, base, PAGES * 4096, 1, 1);
	madvise(memory + 4096, 2 * 4096, MADV_DONTNEED);
	table("table after MADV_DONTNEED of pages 1 and 2", rw, base, 4096, PAGES);
	mprotect(memory + 8 * 4096, 4096, PROT_READ);
	map("fault of a read-only page for writing", rw, base + 8 * 4096, 9, 1, 1);
	map("fault of a read-only page for reading", rw, base + 8 * 4096, 9, 0, 1);
	mprotect(memory + 9 * 4096, 4096, PROT_NONE);
	map("fault of a PROT_NONE page", rw, base + 9 * 4096, 9, 0, 1);
	munmap(memory + 10 * 4096, 4096);
	map("fault of a hole", rw, base + 10 * 4096, 4096, 0, 1);
	map("snapshot with a hole", rw, base, PAGES * 4096, 0, 0);
	release(rw);
}

static void implicit(char *memory)
{
	uint64_t base = (uintptr_t)memory;
	long root = show_object("implicit", call(ABI_IMPLICIT, 0, 0, 0, RW, 0));
	struct umem_odp_abi abi = call(ABI_STATE, root, 0, 0, 0, 0);
	long child;

	printf("implicit: shift %llu, flags %llu\n",
	       (unsigned long long)abi.out[2], (unsigned long long)abi.out[3]);
	show_object("implicit, huge",
		    call(ABI_IMPLICIT, 0, 0, 0, RW | IBV_ACCESS_HUGETLB, 0));
	map("fault of an implicit umem", root, base, 4096, 1, 1);
	child = show_object("child", call(ABI_CHILD, root, base, 4 * 4096, 0, 0));
	abi = call(ABI_STATE, child, 0, 0, 0, 0);
	printf("child: shift %llu, flags %llu, %llu bytes\n",
	       (unsigned long long)abi.out[2], (unsigned long long)abi.out[3],
	       (unsigned long long)(abi.out[1] - abi.out[0]));
	map("fault of a child", child, base, 4 * 4096, 1, 1);
	table("table of the child", child, base, 4096, 4);
	madvise(memory, 4096, MADV_DONTNEED);
	table("table of the child after MADV_DONTNEED of page 0", child, base,
	      4096, 4);
	show_object("child of nothing", call(ABI_CHILD, root, base, 0, 0, 0));
	show_object("child that wraps",
		    call(ABI_CHILD, root, -4096ULL, 8192, 0, 0));
	release(child);
	release(root);
}

/* The owner is gone when a driver asks for more. */
static void owner_gone(char *memory)
{
	uint64_t base = (uintptr_t)memory;
	long objects[2];
	int ends[2], status;
	pid_t pid;

	if (pipe(ends))
		odp_die(errno, "pipe");
	pid = fork();
	if (!pid) {
		objects[0] = call(ABI_GET, 0, base, 4 * 4096, RW, 0).result;
		objects[1] = call(ABI_IMPLICIT, 0, 0, 0, RW, 0).result;
		if (write(ends[1], objects, sizeof(objects)) != sizeof(objects))
			_exit(1);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status ||
	    read(ends[0], objects, sizeof(objects)) != sizeof(objects))
		odp_die(0, "the owner failed");
	map("fault of an owner that exited", objects[0], base, 4096, 1, 1);
	show_object("child of an owner that exited",
		    call(ABI_CHILD, objects[1], base, 4096, 0, 0));
	release(objects[0]);
	release(objects[1]);
}

static void small_pages_in_huge_umem(void)
{
	char *memory = mmap(NULL, 2 * HUGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t base = align_huge((uintptr_t)memory);
	long object;

	madvise(memory, 2 * HUGE, MADV_NOHUGEPAGE);
	object = call(ABI_GET, 0, base, HUGE, RW | IBV_ACCESS_HUGETLB, 0).result;
	map("fault of small pages in a huge umem", object, base, 4096, 1, 1);
	release(object);
	munmap(memory, 2 * HUGE);
}

/* Whether a page that is clean becomes dirty when it is taken from the device. */
static void dirtied(const char *what, long object, uint64_t addr)
{
	call(ABI_CLEAN, 0, addr, 0, 0, 0);
	unmap(object, addr, addr + 4096);
	show(what, call(ABI_IS_DIRTY, 0, addr, 0, 0, 0).result);
}

/* Where C and Rust are to differ. */

static void huge_pages(void)
{
	char *memory = mmap(NULL, 4 * HUGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	uint64_t base = (uintptr_t)memory;
	long object;

	if (memory == MAP_FAILED) {
		fprintf(stderr, "no huge pages\n");
		exit(ODP_SKIP);
	}
	object = call(ABI_GET, 0, base, 4 * HUGE, RW | IBV_ACCESS_HUGETLB,
		      0).result;
	map("fault of four huge pages", object, base, 4 * HUGE, 1, 1);
	table("table of four huge pages", object, base, HUGE, 4);
	unmap(object, base + HUGE, base + 2 * HUGE);
	table("table after unmap of the second", object, base, HUGE, 4);
	unmap(object, base + 2 * HUGE + 4096, base + 2 * HUGE + 8192);
	table("table after unmap of a part of the third", object, base, HUGE, 4);
	release(object);
	munmap(memory, 4 * HUGE);
}

static void better(char *memory)
{
	uint64_t base = (uintptr_t)memory;
	long object = call(ABI_GET, 0, base, PAGES * 4096, RW, 0).result;

	memset(memory, 1, PAGES * 4096);
	map("fault of a length that wraps", object, base + 100, -1ULL, 1, 1);
	unmap(object, 0, UINT64_MAX);

	munmap(memory + 8 * 4096, 4096);
	map("fault with a hole", object, base, PAGES * 4096, 1, 1);
	table("table after the fault that failed", object, base, 4096, 8);

	map("fault of a page", object, base, 4096, 1, 1);
	dirtied("dirty when it was writable for the device", object, base);
	release(object);
}

/*
 * A fault that fails leaves entries behind in C's table, which may be of pages
 * that belong to others by the time that Rust finds them.
 */
static void leftovers(char *memory)
{
	uint64_t base = (uintptr_t)memory;
	long object = call(ABI_GET, 0, base, PAGES * 4096, RW, 0).result;

	memset(memory, 1, PAGES * 4096);
	munmap(memory + 8 * 4096, 4096);
	map("fault with a hole", object, base, PAGES * 4096, 1, 1);
	table("what it left", object, base, 4096, 8);
	if (getchar() == EOF)
		odp_die(0, "no word that the module is loaded");
	dirtied("a page that an entry names is dirtied", object, base);
	release(object);
}

static void not_odp(char *memory)
{
	uint64_t base = (uintptr_t)memory;
	long object = call(ABI_PINNED, 0, base, 4096, 0, 0).result;

	map("fault of a pinned umem", object, base, 4096, 1, 1);
	release(object);
}

int main(int argc, char **argv)
{
	const char *what = argc == 2 ? argv[1] : "";

	fd = open("/dev/umem_odp_abi", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		odp_die(errno, "/dev/umem_odp_abi");
	setvbuf(stdout, NULL, _IOLBF, 0);

	if (!strcmp(what, "same")) {
		registration();
		faults(odp_map(PAGES * 4096));
		implicit(odp_map(PAGES * 4096));
		owner_gone(odp_map(PAGES * 4096));
		small_pages_in_huge_umem();
	} else if (!strcmp(what, "better")) {
		better(odp_map(PAGES * 4096));
		huge_pages();
	} else if (!strcmp(what, "leftovers")) {
		leftovers(odp_map(PAGES * 4096));
	} else if (!strcmp(what, "not-odp")) {
		not_odp(odp_map(PAGES * 4096));
	} else {
		odp_die(0, "usage: umem_odp_abi same|better|leftovers|not-odp");
	}
	return ODP_OK;
}
