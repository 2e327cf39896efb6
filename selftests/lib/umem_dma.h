/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For clients of /dev/umem_odp_dma that print a line "what: result" for each step:
 * one line is the same whatever addresses and pages a run gets.
 */
#ifndef UMEM_DMA_H
#define UMEM_DMA_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "odp.h"
#include "../modules/umem_odp_dma.h"

#define HUGE	(2UL << 20)
#define OD	IBV_ACCESS_ON_DEMAND
#define RW	(OD | IBV_ACCESS_LOCAL_WRITE)

static int umem_dma_fd;

static inline void umem_dma_open(void)
{
	umem_dma_fd = open("/dev/umem_odp_dma", O_RDWR | O_CLOEXEC);
	if (umem_dma_fd < 0)
		odp_die(errno, "/dev/umem_odp_dma");
	setvbuf(stdout, NULL, _IOLBF, 0);
}

static inline int64_t call(struct umem_odp_dma *arg)
{
	if (ioctl(umem_dma_fd, UMEM_ODP_DMA, arg))
		odp_die(errno, "UMEM_ODP_DMA");
	return arg->result;
}

#define CALL(which, ...) \
	call(&(struct umem_odp_dma){ .call = which, __VA_ARGS__ })

static inline const char *text(int64_t result)
{
	static char number[32];

	if (result < 0)
		return strerrorname_np(-result);
	snprintf(number, sizeof(number), "%lld", (long long)result);
	return number;
}

static inline void show(const char *what, int64_t result)
{
	printf("%s: %s\n", what, text(result));
}

/* A region's number is of no interest, but that there is one. */
static inline long show_region(const char *what, int64_t result)
{
	show(what, result < 0 ? result : 0);
	return result;
}

static inline void section(const char *what)
{
	printf("-- %s\n", what);
}

static inline long get(const void *addr, size_t len, int access)
{
	int64_t region = CALL(DMA_GET, .addr = (uintptr_t)addr, .len = len,
			      .access = access);

	if (region < 0)
		odp_die(-region, "ib_umem_odp_get");
	return region;
}

static inline void release(long region)
{
	if (region >= 0)
		CALL(DMA_RELEASE, .region = region);
}

static inline void fault(const char *what, long region, const void *addr, size_t len,
			 unsigned int flags)
{
	show(what, CALL(DMA_FAULT, .region = region, .addr = (uintptr_t)addr,
			.len = len, .flags = flags));
}

static inline uint64_t mode(long region)
{
	struct umem_odp_dma arg = { .call = DMA_STATE, .region = region };

	call(&arg);
	return arg.out[3] & (DMA_MODE_IOVA | DMA_MODE_LIST);
}

static inline void show_mode(long region)
{
	uint64_t found = mode(region);

	printf("mode: %s\n", found == DMA_MODE_IOVA ? "iova" :
	       found == DMA_MODE_LIST ? "list" : "direct");
}

/* The DMA address that belongs to a page of a region that is mapped. */
static inline uint64_t dma_address(long region, unsigned long index)
{
	struct umem_odp_dma arg = { .call = DMA_ENTRY, .region = region, .index = index };

	call(&arg);
	return arg.out[1];
}

static inline char entry_char(uint64_t flags)
{
	if (flags & DMA_P2P_BUS)
		return 'B';
	if (flags & DMA_P2P)
		return 'P';
	if (!(flags & DMA_VALID))
		return flags & DMA_MAPPED ? 'm' : flags & DMA_WRITABLE ? '?' : '-';
	if (flags & DMA_MAPPED)
		return flags & DMA_WRITABLE ? 'W' : 'R';
	return flags & DMA_WRITABLE ? 'w' : 'r';
}

static inline char device_char(uint64_t flags)
{
	if (!(flags & DMA_DEVICE_READ))
		return flags & DMA_DEVICE_WRITE ? '?' : '-';
	if (!(flags & DMA_DEVICE_PLACE))
		return '!';
	return flags & DMA_DEVICE_WRITE ? 'w' : 'r';
}

/*
 * For each page: the umem's entry (as above: mapped for DMA in capitals), whether it
 * is of the page that the CPU maps ('=' or '!'), the entry of the device's table, and
 * whether the IOMMU translates its place to that page ('=', '!' if to another).
 */
static inline void table(const char *what, long region, const char *addr, size_t size,
			 unsigned int pages)
{
	char entry[32] = "", page[32] = "", device[32] = "", iommu[32] = "";
	struct umem_odp_dma state = { .call = DMA_STATE, .region = region };

	for (unsigned int i = 0; i < pages; i++) {
		int64_t flags = CALL(DMA_ENTRY, .region = region, .index = i,
				     .addr = (uintptr_t)addr + i * size);

		if (flags < 0)
			odp_die(-flags, "entry %u", i);
		entry[i] = entry_char(flags);
		page[i] = !(flags & DMA_VALID) ? '-' : flags & DMA_SAME_PAGE ? '=' : '!';
		device[i] = device_char(flags);
		iommu[i] = !(flags & DMA_TRANSLATED) ? '-' :
			   flags & DMA_TRANSLATED_WHOLE ? '=' : '!';
	}
	call(&state);
	printf("%s: entries %s, pages %s, device %s, npages %lld\n", what, entry, page,
	       device, (long long)state.result);
	if (state.out[3] & DMA_MODE_IOVA)
		printf("%s: IOMMU %s\n", what, iommu);
}

/* --- memory -------------------------------------------------------------------- */

/* Memory with a second mapping, which stays when the first one goes. */
struct shared {
	char *addr, *alive;
	size_t len;
};

/* The first pages hold what is each one's own. */
static inline struct shared map_shared(size_t len, unsigned int flags)
{
	struct shared m = { .len = len };
	int fd = memfd_create("umem_dma", flags);

	if (fd < 0 || ftruncate(fd, len))
		odp_die(errno, "memfd");
	m.addr = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	m.alive = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (m.addr == MAP_FAILED || m.alive == MAP_FAILED)
		odp_die(errno, "mmap of a memfd");
	close(fd);
	for (size_t i = 0; i < 32 && i < len / ODP_PAGE; i++)
		memset(m.addr + i * ODP_PAGE, 1 + i, ODP_PAGE);
	return m;
}

static inline void unmap_shared(struct shared m)
{
	munmap(m.addr, m.len);
	munmap(m.alive, m.len);
}

/* Of the size of huge pages, and aligned as they are: of the processor's, or hugetlbfs'. */
static inline char *map_huge(size_t len, int flags)
{
	char *addr = mmap(NULL, len + HUGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	if (addr == MAP_FAILED)
		odp_die(errno, "mmap of huge pages");
	addr += -(uintptr_t)addr % HUGE;
	madvise(addr, len, MADV_HUGEPAGE);
	memset(addr, 0, len);
	return addr;
}

/* --- DMA ----------------------------------------------------------------------- */

static inline int64_t device_read(long region, const void *addr, void *data, size_t len)
{
	return CALL(DMA_READ, .region = region, .addr = (uintptr_t)addr, .len = len,
		    .data = (uintptr_t)data);
}

static inline int64_t device_write(long region, void *addr, const void *data, size_t len)
{
	return CALL(DMA_WRITE, .region = region, .addr = (uintptr_t)addr, .len = len,
		    .data = (uintptr_t)data);
}

/* What the device reads is what is in memory; what it writes gets there. */
static inline void reads(const char *what, long region, const char *addr, size_t len)
{
	char data[DMA_MAX_LEN];
	int64_t result = device_read(region, addr, data, len);

	printf("device reads %s: %s\n", what, result ? text(result) :
	       memcmp(data, addr, len) ? "wrong data" : "right data");
}

static inline void writes(const char *what, long region, char *addr, size_t len)
{
	static unsigned char stamp;
	char data[DMA_MAX_LEN];
	int64_t result;

	memset(data, ++stamp, len);
	result = device_write(region, addr, data, len);
	printf("device writes %s: %s\n", what, result ? text(result) :
	       memcmp(data, addr, len) ? "wrong data" : "right data");
}

/* --- DMA to where nothing is mapped any more ------------------------------------- */

/* The IOMMU's faults at an address in the kernel's log, which come a moment later. */
static inline void count_faults(int log, uint64_t addr, int *reads, int *writes)
{
	char line[1024], want[64];
	ssize_t n;

	snprintf(want, sizeof(want), "fault addr 0x%llx ", (unsigned long long)addr);
	for (int i = 0; i < 100 && (!*reads || !*writes); i++) {
		while ((n = read(log, line, sizeof(line) - 1)) > 0 || (n < 0 && errno == EPIPE)) {
			if (n < 0)
				continue;
			line[n] = 0;
			if (!strstr(line, "DMAR: ") || !strstr(line, want))
				continue;
			*reads += !!strstr(line, "DMA Read");
			*writes += !!strstr(line, "DMA Write");
		}
		usleep(20000);
	}
}

/*
 * The device is made to read and to write at a DMA address that is dead. alive is
 * the page that was there, which has another mapping.
 */
static inline void dead(const char *what, uint64_t addr, const char *alive)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK), reads = 0, writes = 0;
	char data[64], before[64];

	if (log < 0 || lseek(log, 0, SEEK_END) < 0)
		odp_die(errno, "/dev/kmsg");
	usleep(5100000);	/* the kernel logs few of these faults in 5 s */
	memcpy(before, alive, sizeof(before));
	CALL(DMA_READ_AT, .addr = addr, .len = sizeof(data), .data = (uintptr_t)data);
	printf("%s: the device %s", what,
	       memcmp(data, before, sizeof(data)) ? "read nothing" : "READ MEMORY");
	memset(data, 0x77, sizeof(data));
	CALL(DMA_WRITE_AT, .addr = addr, .len = sizeof(data), .data = (uintptr_t)data);
	printf(", %s", memcmp(alive, before, sizeof(before)) ? "WROTE TO MEMORY" :
	       "wrote nothing");
	count_faults(log, addr, &reads, &writes);
	printf(", faults of the IOMMU: %d read, %d write\n", reads, writes);
	close(log);
}

#endif
