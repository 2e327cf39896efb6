// SPDX-License-Identifier: GPL-2.0
/* See edu.h */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "edu.h"

#define FAULT_WAIT	0.5	/* seconds until a fault is in the log, at most */

void edu_must(bool failed, const char *what)
{
	if (failed)
		odp_die(errno, "%s", what);
}

int edu_open(void)
{
	int fd = open(EDU_ODP_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (errno != ENOENT)
		odp_die(errno, EDU_ODP_DEVICE);
	fprintf(stderr, "no " EDU_ODP_DEVICE "\n");
	exit(ODP_SKIP);
}

int edu_ioctl(int fd, unsigned long request, void *argument)
{
	return ioctl(fd, request, argument) ? errno : 0;
}

enum edu_odp_mode edu_mode(int fd)
{
	struct edu_odp_device device = {};
	int err = edu_ioctl(fd, EDU_ODP_IOC_DEVICE, &device);

	if (err)
		odp_die(err, "EDU_ODP_IOC_DEVICE");
	if (device.abi_version != EDU_ODP_ABI_VERSION ||
	    device.buffer != EDU_ODP_BUFFER || device.reserved ||
	    device.mode < EDU_ODP_MODE_IOVA || device.mode > EDU_ODP_MODE_DIRECT)
		odp_die(0, "version %u, mode %u, buffer %u, reserved %u",
			device.abi_version, device.mode, device.buffer,
			device.reserved);
	return device.mode;
}

const char *edu_mode_name(enum edu_odp_mode mode)
{
	static const char *const names[] = { "none", "iova", "list", "direct" };

	return mode <= EDU_ODP_MODE_DIRECT ? names[mode] : "unknown";
}

/* --- ranges ------------------------------------------------------------------ */

int edu_try_register(int fd, const void *addr, size_t len, uint32_t flags,
		     uint32_t *handle)
{
	struct edu_odp_register reg = {
		.address = (uintptr_t)addr, .length = len, .flags = flags,
	};
	int err = edu_ioctl(fd, EDU_ODP_IOC_REGISTER, &reg);

	if (!err && !reg.handle)
		odp_die(0, "a handle is zero");
	*handle = reg.handle;
	return err;
}

static uint32_t must_register(int fd, const void *addr, size_t len,
			      uint32_t flags)
{
	uint32_t handle;
	int err = edu_try_register(fd, addr, len,
				   flags | EDU_ODP_REGISTER_WRITE, &handle);

	if (err)
		odp_die(err, "register %p, %zu bytes", addr, len);
	return handle;
}

uint32_t edu_register(int fd, const void *addr, size_t len)
{
	return must_register(fd, addr, len, 0);
}

uint32_t edu_register_all(int fd)
{
	return must_register(fd, NULL, 0, EDU_ODP_REGISTER_ALL);
}

int edu_deregister(int fd, uint32_t handle)
{
	struct edu_odp_deregister dereg = { .handle = handle };

	return edu_ioctl(fd, EDU_ODP_IOC_DEREGISTER, &dereg);
}

int edu_prefetch(int fd, uint32_t handle, const void *addr, size_t len,
		 uint32_t flags)
{
	struct edu_odp_prefetch prefetch = {
		.handle = handle, .flags = flags, .address = (uintptr_t)addr,
		.length = len,
	};

	return edu_ioctl(fd, EDU_ODP_IOC_PREFETCH, &prefetch);
}

int edu_peek(int fd, uint32_t handle, const void *addr,
	     struct edu_odp_peek *peek)
{
	*peek = (struct edu_odp_peek){
		.handle = handle, .address = (uintptr_t)addr,
	};
	return edu_ioctl(fd, EDU_ODP_IOC_PEEK, peek);
}

enum edu_odp_mode edu_page_mode(int fd, uint32_t handle, const void *addr)
{
	struct edu_odp_peek peek;
	int err = edu_peek(fd, handle, addr, &peek);

	if (err)
		odp_die(err, "peek at %p", addr);
	return peek.mode;
}

/* --- DMA --------------------------------------------------------------------- */

int edu_dma(int fd, struct edu_odp_dma *dma)
{
	const uint64_t len = dma->length;
	int err;

	dma->done = 0;
	err = edu_ioctl(fd, EDU_ODP_IOC_DMA, dma);
	if (err ? dma->done >= len : dma->done != len)
		odp_die(err, "%llu of %llu bytes are done", dma->done,
			(unsigned long long)len);
	return err;
}

int edu_read(int fd, uint32_t handle, const void *source, size_t len)
{
	return edu_dma(fd, &(struct edu_odp_dma){
		.op = EDU_ODP_READ, .source_handle = handle,
		.source = (uintptr_t)source, .length = len });
}

int edu_write(int fd, uint32_t handle, void *target, size_t len)
{
	return edu_dma(fd, &(struct edu_odp_dma){
		.op = EDU_ODP_WRITE, .target_handle = handle,
		.target = (uintptr_t)target, .length = len });
}

int edu_copy(int fd, uint32_t source_handle, const void *source,
	     uint32_t target_handle, void *target, size_t len)
{
	return edu_dma(fd, &(struct edu_odp_dma){
		.op = EDU_ODP_COPY, .source_handle = source_handle,
		.source = (uintptr_t)source, .target_handle = target_handle,
		.target = (uintptr_t)target, .length = len });
}

int edu_raw_dma(int fd, enum edu_odp_op op, uint64_t dma_address, size_t len)
{
	struct edu_odp_raw_dma raw = {
		.op = op, .length = len, .dma_address = dma_address,
	};

	return edu_ioctl(fd, EDU_ODP_IOC_RAW_DMA, &raw);
}

/* --- faults in the IOMMU ------------------------------------------------------- */

int edu_faults_open(void)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (log < 0 || lseek(log, 0, SEEK_END) < 0)
		odp_die(errno, "/dev/kmsg");
	return log;
}

/* The next record of the log, if there is one. */
static bool next_record(int log, char *text, size_t size)
{
	ssize_t len;

	do {	/* EPIPE: records were lost */
		len = read(log, text, size - 1);
	} while (len < 0 && (errno == EPIPE || errno == EINTR));
	text[len > 0 ? len : 0] = '\0';
	return len > 0;
}

unsigned int edu_faults(int log, uint64_t dma_address, unsigned int *others)
{
	const uint64_t page = dma_address & -ODP_PAGE;
	const char *device = getenv("EDU_PCI") ?: "";
	unsigned int found = 0;
	unsigned long long addr;
	char text[2048], *at;

	*others = 0;
	for (double end = edu_seconds() + FAULT_WAIT; edu_seconds() < end; ) {
		if (!next_record(log, text, sizeof(text))) {
			edu_sleep(0.05);
			continue;
		}
		at = strstr(text, "fault addr 0x");
		if (!at || !strstr(text, device) ||
		    sscanf(at, "fault addr 0x%llx", &addr) != 1)
			continue;
		if ((addr & -ODP_PAGE) == page)
			found++;
		else
			(*others)++;
	}
	return found;
}

/* --- memory and time ------------------------------------------------------------ */

unsigned char *edu_reserve(size_t len)
{
	unsigned char *addr = mmap(NULL, len + EDU_HUGE, PROT_NONE, MAP_PRIVATE |
				   MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (addr == MAP_FAILED)
		odp_die(errno, "mmap of %zu bytes", len);
	return addr + (-(uintptr_t)addr & (EDU_HUGE - 1));
}

void edu_put(void *addr, size_t len, int flags, int fd)
{
	if (mmap(addr, len, PROT_READ | PROT_WRITE, MAP_FIXED | flags, fd,
		 0) != addr)
		odp_die(errno, "mmap of %zu bytes", len);
}

void edu_put_small(void *addr, size_t len)
{
	edu_put(addr, len, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	madvise(addr, len, MADV_NOHUGEPAGE);
}

void edu_put_thp(void *addr, size_t len)
{
	edu_put(addr, len, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	madvise(addr, len, MADV_HUGEPAGE);
}

double edu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

void edu_sleep(double seconds)
{
	usleep(seconds * 1e6);
}
