// SPDX-License-Identifier: GPL-2.0
/*
 * The calls of edu_odp.ko under fail-nth: each allocation of a call fails once. Then
 * the call works, and DMA moves right bytes.
 *
 * fault_edu NAME [N]
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/edu.h"
#include "lib/fail_nth.h"

#define PAGES	24UL	/* of them 20 in one window, the rest in the next */
#define BEFORE	20UL
#define LEN	(PAGES * ODP_PAGE)
#define CHUNK	(3 * ODP_PAGE)	/* a DMA takes 100 ms for each page */
#define FROM	((BEFORE - 1) * ODP_PAGE + 100)	/* over the border of the windows */

static int fd = -1;
static unsigned char *memory, *other;
static uint32_t handle, target;

/* --- the calls --- */

static int open_file(void)
{
	fd = open(EDU_ODP_DEVICE, O_RDWR | O_CLOEXEC);
	return fd < 0 ? errno : 0;
}

static int reg(void)
{
	return edu_try_register(fd, memory, LEN, EDU_ODP_REGISTER_WRITE, &handle);
}

static int reg_all(void)
{
	return edu_try_register(fd, NULL, 0,
				EDU_ODP_REGISTER_ALL | EDU_ODP_REGISTER_WRITE, &handle);
}

static int dereg(void)
{
	return edu_deregister(fd, handle);
}

static int prefetch_read(void)
{
	return edu_prefetch(fd, handle, memory, LEN, 0);
}

static int prefetch_write(void)
{
	return edu_prefetch(fd, handle, memory, LEN, EDU_ODP_PREFETCH_WRITE);
}

static int prefetch_no_fault(void)
{
	return edu_prefetch(fd, handle, memory, LEN, EDU_ODP_PREFETCH_NO_FAULT);
}

static int dma_read(void)
{
	return edu_read(fd, handle, memory + FROM, CHUNK);
}

static int dma_write(void)
{
	return edu_write(fd, handle, memory + FROM, CHUNK);
}

static int dma_copy(void)
{
	return edu_copy(fd, handle, memory + FROM, target, other, CHUNK);
}

static int invalidate(void)
{
	return madvise(memory, LEN, MADV_DONTNEED) ? errno : 0;
}

static int close_file(void)
{
	return close(fd) ? errno : 0;
}

/* --- before them --- */

/* Pages on both sides of the border between two windows. */
static void map(void)
{
	memory = edu_reserve(2 * EDU_HUGE) + EDU_HUGE - BEFORE * ODP_PAGE;
	edu_put_small(memory, LEN);
	other = odp_map(CHUNK);
}

static void with_file(void)
{
	fd = edu_open();
	map();
}

static void with_range(void)
{
	with_file();
	handle = edu_register(fd, memory, LEN);
	target = edu_register(fd, other, CHUNK);
}

static void with_source(void)
{
	with_range();
	odp_stamp(memory + FROM, CHUNK, 1, 1);
}

static void with_resident_range(void)
{
	with_range();
	memset(memory, 1, LEN);
}

static void with_mapped_range(void)
{
	int err;

	with_range();
	err = prefetch_write();
	if (err)
		odp_die(err, "PREFETCH");
}

/* --- and after --- */

static bool copies(void)
{
	int err;

	odp_stamp(memory + FROM, CHUNK, 2, 2);
	err = edu_copy(fd, handle, memory + FROM, handle, memory, CHUNK);
	if (err)
		odp_die(err, "COPY");
	return odp_stamped(memory, CHUNK, 2, 2) && odp_stamped(memory + FROM, CHUNK, 2, 2);
}

/* The range moves data, and goes. */
static bool works(void)
{
	return copies() && !edu_deregister(fd, handle) && !close(fd);
}

static bool has_copied(void)
{
	return odp_stamped(other, CHUNK, 1, 1) && works();
}

/* A READ leaves in the buffer what a WRITE takes from it: of the last chunk. */
static bool has_read(void)
{
	const size_t last = CHUNK - ODP_PAGE;

	if (edu_write(fd, target, other, ODP_PAGE))
		return false;
	return !memcmp(other, memory + FROM + last, ODP_PAGE) && works();
}

static bool is_open(void)
{
	map();
	handle = edu_register(fd, memory, LEN);
	return works();
}

static bool is_deregistered(void)
{
	struct edu_odp_query query = { .handle = handle };

	if (edu_ioctl(fd, EDU_ODP_IOC_QUERY, &query) != ENOENT)
		return false;
	handle = edu_register(fd, memory, LEN);
	return works();
}

static bool is_closed(void)
{
	with_file();
	handle = edu_register(fd, memory, LEN);
	return works();
}

/* Pages that were taken away are not the device's any more. */
static bool is_invalidated(void)
{
	return !edu_page_mode(fd, handle, memory) && works();
}

static const struct sweep sweeps[] = {
	{ "open", map, open_file, is_open, NULL },
	{ "register", with_file, reg, works, NULL },
	{ "register-all", with_file, reg_all, works, NULL },
	{ "deregister", with_mapped_range, dereg, is_deregistered, NULL },
	{ "prefetch", with_range, prefetch_read, works, NULL },
	{ "prefetch-write", with_range, prefetch_write, works, NULL },
	{ "prefetch-no-fault", with_resident_range, prefetch_no_fault, works, NULL },
	{ "read", with_source, dma_read, has_read, NULL },
	{ "write", with_range, dma_write, works, NULL },
	{ "copy", with_source, dma_copy, has_copied, NULL },
	{ "invalidate", with_mapped_range, invalidate, is_invalidated, NULL },
	{ "close", with_mapped_range, close_file, is_closed, NULL },
};

int main(int argc, char **argv)
{
	return SWEEP_MAIN(argc, argv, sweeps);
}
