// SPDX-License-Identifier: GPL-2.0
/*
 * What is wrong with a request gives the errno that edu_odp.h says, what is beside
 * it stays as it was, and the device goes on working. A line for each case.
 *
 * edu_errors requests     fields, handles, ranges
 * edu_errors register     what a registration of good memory gives
 * edu_errors many         more ranges than a file may have
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cases.h"
#include "lib/edu.h"

#define KERNEL_ADDRESS	0xffff888000000000UL
#define OLD	1
#define NEW	2

static int fd;
static unsigned char *good;	/* pages of our own */
static uint32_t handle;

#define GOOD_PAGES	8
#define GOOD_LEN	(GOOD_PAGES * ODP_PAGE)

static void works(const char *after)
{
	char text[120];
	bool right;

	odp_stamp(good, ODP_PAGE, 0, NEW);
	memset(good + ODP_PAGE, 0, ODP_PAGE);
	right = !edu_copy(fd, handle, good, handle, good + ODP_PAGE, ODP_PAGE) &&
		odp_stamped(good + ODP_PAGE, ODP_PAGE, 0, NEW);
	snprintf(text, sizeof(text), "%s, and it works afterwards", after);
	result_is(right, text, right ? "right data" : "wrong data");
}

/* --- requests ---------------------------------------------------------------- */

/* The address of a structure that is not all there. */
static void *broken_pointer(int kind, size_t size)
{
	unsigned char *page = edu_reserve(2 * ODP_PAGE);

	switch (kind) {
	case 0:
		return NULL;
	case 1:
		return (void *)KERNEL_ADDRESS;
	case 2:
		return page;
	default:	/* the last four bytes are missing */
		edu_put_small(page, ODP_PAGE);
		return page + ODP_PAGE - size + 4;
	}
}

static void pointers(void)
{
	static const struct {
		const char *name;
		unsigned long request;
	} calls[] = {
		{ "DEVICE", EDU_ODP_IOC_DEVICE },
		{ "REGISTER", EDU_ODP_IOC_REGISTER },
		{ "DEREGISTER", EDU_ODP_IOC_DEREGISTER },
		{ "DMA", EDU_ODP_IOC_DMA },
		{ "PREFETCH", EDU_ODP_IOC_PREFETCH },
		{ "QUERY", EDU_ODP_IOC_QUERY },
		{ "PEEK", EDU_ODP_IOC_PEEK },
		{ "RAW_DMA", EDU_ODP_IOC_RAW_DMA },
	};
	static const char *const kinds[] = {
		"NULL", "a kernel address", "memory without access",
		"a structure that is cut off",
	};
	char text[120];

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		for (int kind = 0; kind < 4; kind++) {
			const unsigned long request = calls[i].request;
			void *pointer = broken_pointer(kind, _IOC_SIZE(request));

			snprintf(text, sizeof(text), "%s at %s", calls[i].name,
				 kinds[kind]);
			result_errno(text, edu_ioctl(fd, request, pointer),
				     WANT(EFAULT));
		}
}

static void numbers(void)
{
	struct edu_odp_device device[2] = {};

	result_errno("an ioctl that there is not",
		     edu_ioctl(fd, _IOWR('E', 0xd8, device[0]), device),
		     WANT(ENOTTY));
	result_errno("an ioctl of another type",
		     edu_ioctl(fd, _IOWR('F', 0xd0, device[0]), device),
		     WANT(ENOTTY));
	result_errno("a structure that is too long",
		     edu_ioctl(fd, _IOWR('E', 0xd0, device), device), WANT(ENOTTY));
	result_errno("a structure that is too short",
		     edu_ioctl(fd, _IOWR('E', 0xd0, uint64_t), device), WANT(ENOTTY));
	result_errno("an ioctl that only reads",
		     edu_ioctl(fd, _IOR('E', 0xd0, device[0]), device),
		     WANT(ENOTTY));
	result_errno("an ioctl without a structure",
		     edu_ioctl(fd, _IO('E', 0xd0), NULL), WANT(ENOTTY));
	device[0].reserved = 1;
	result_errno("DEVICE, reserved", edu_ioctl(fd, EDU_ODP_IOC_DEVICE, device),
		     WANT(EINVAL));
}

static int registered(const void *addr, size_t len, uint32_t flags)
{
	uint32_t other;
	int err = edu_try_register(fd, addr, len, flags, &other);

	if (!err && edu_deregister(fd, other))
		odp_die(0, "what was registered is not there");
	return err;
}

static void registrations(void)
{
	const int all = EDU_ODP_REGISTER_ALL, write = EDU_ODP_REGISTER_WRITE;

	result_errno("REGISTER, an unknown flag", registered(good, 1, 4),
		     WANT(EINVAL));
	result_errno("REGISTER, the last flag", registered(good, 1, 1u << 31),
		     WANT(EINVAL));
	result_errno("REGISTER of no length", registered(good, 0, write),
		     WANT(EINVAL));
	result_errno("REGISTER of all, with an address", registered(good, 0, all),
		     WANT(EINVAL));
	result_errno("REGISTER of all, with a length",
		     registered(NULL, ODP_PAGE, all), WANT(EINVAL));
	result_errno("REGISTER over the end of the address space",
		     registered(good, -(uintptr_t)good + 1, 0),
		     WANT(EINVAL, EOVERFLOW));
	result_errno("REGISTER up to the end of the address space",
		     registered(good, -(uintptr_t)good, 0),
		     WANT(EINVAL, EOVERFLOW, EFAULT));
	result_errno("REGISTER of 2^64 - 1 bytes", registered(good, -1, 0),
		     WANT(EINVAL, EOVERFLOW));
	result_errno("REGISTER of all for reading", registered(NULL, 0, all),
		     WANT(0));
	result_errno("REGISTER of a byte", registered(good + 4095, 1, write), WANT(0));
	result_errno("REGISTER of what is not mapped",
		     registered(edu_reserve(1UL << 40), 1UL << 40, write), WANT(0));
}

static void handles(void)
{
	struct edu_odp_query query = { .handle = handle, .reserved = 1 };
	struct edu_odp_deregister dereg = { .handle = handle, .reserved = 1 };
	struct edu_odp_peek peek;
	int other_fd = edu_open();
	uint32_t gone;

	result_errno("DEREGISTER, reserved",
		     edu_ioctl(fd, EDU_ODP_IOC_DEREGISTER, &dereg), WANT(EINVAL));
	result_errno("QUERY, reserved", edu_ioctl(fd, EDU_ODP_IOC_QUERY, &query),
		     WANT(EINVAL));
	edu_must(edu_try_register(fd, good, GOOD_LEN, 0, &gone), "register");
	result_errno("DEREGISTER", edu_deregister(fd, gone), WANT(0));
	result_errno("DEREGISTER again", edu_deregister(fd, gone), WANT(ENOENT));
	result_errno("DEREGISTER of 0", edu_deregister(fd, 0), WANT(ENOENT));
	result_errno("DEREGISTER of 2^32 - 1", edu_deregister(fd, -1), WANT(ENOENT));
	result_errno("READ of a handle that is gone",
		     edu_read(fd, gone, good, 1), WANT(ENOENT));
	result_errno("WRITE to a handle that is gone",
		     edu_write(fd, gone, good, 1), WANT(ENOENT));
	result_errno("COPY to a handle that is gone",
		     edu_copy(fd, handle, good, gone, good + ODP_PAGE, 1),
		     WANT(ENOENT));
	result_errno("PREFETCH of a handle that is gone",
		     edu_prefetch(fd, gone, good, 1, 0), WANT(ENOENT));
	result_errno("PEEK at a handle that is gone",
		     edu_peek(fd, gone, good, &peek), WANT(ENOENT));
	query = (struct edu_odp_query){ .handle = gone };
	result_errno("QUERY of a handle that is gone",
		     edu_ioctl(fd, EDU_ODP_IOC_QUERY, &query), WANT(ENOENT));
	result_errno("READ by another file's handle",
		     edu_read(other_fd, handle, good, 1), WANT(ENOENT));
	result_errno("DEREGISTER by another file",
		     edu_deregister(other_fd, handle), WANT(ENOENT));
	close(other_fd);
}

static int dma(uint32_t op, uint32_t flags, uint32_t source_handle,
	       const void *source, uint32_t target_handle, const void *target,
	       uint64_t len, uint64_t done)
{
	struct edu_odp_dma request = {
		.op = op, .flags = flags, .source_handle = source_handle,
		.target_handle = target_handle, .source = (uintptr_t)source,
		.target = (uintptr_t)target, .length = len, .done = done,
	};

	return edu_ioctl(fd, EDU_ODP_IOC_DMA, &request);
}

static void fields(void)
{
	const uint32_t h = handle;

	result_errno("DMA, an unknown op", dma(3, 0, h, good, h, good, 1, 0),
		     WANT(EINVAL));
	result_errno("DMA, flags", dma(EDU_ODP_READ, 1, h, good, 0, NULL, 1, 0),
		     WANT(EINVAL));
	result_errno("READ with a target",
		     dma(EDU_ODP_READ, 0, h, good, 0, good, 1, 0), WANT(EINVAL));
	result_errno("READ with a target handle",
		     dma(EDU_ODP_READ, 0, h, good, h, NULL, 1, 0), WANT(EINVAL));
	result_errno("WRITE with a source",
		     dma(EDU_ODP_WRITE, 0, 0, good, h, good, 1, 0), WANT(EINVAL));
	result_errno("WRITE with a source handle",
		     dma(EDU_ODP_WRITE, 0, h, NULL, h, good, 1, 0), WANT(EINVAL));
	result_errno("DMA, done", dma(EDU_ODP_READ, 0, h, good, 0, NULL, 1, 1),
		     WANT(EINVAL));
	result_errno("READ of no length",
		     dma(EDU_ODP_READ, 0, h, good, 0, NULL, 0, 0), WANT(EINVAL));
	result_errno("READ over the end of the address space",
		     dma(EDU_ODP_READ, 0, h, good, 0, NULL, -(uintptr_t)good + 1, 0),
		     WANT(EFAULT, EINVAL, EOVERFLOW));
	result_errno("READ of 2^64 - 1 bytes",
		     dma(EDU_ODP_READ, 0, h, good, 0, NULL, -1, 0),
		     WANT(EFAULT, EINVAL, EOVERFLOW));
	result_errno("READ of kernel memory",
		     edu_read(fd, h, (void *)KERNEL_ADDRESS, 1), WANT(EFAULT));
	result_errno("PREFETCH, an unknown flag", edu_prefetch(fd, h, good, 1, 4),
		     WANT(EINVAL));
	result_errno("PREFETCH of no length", edu_prefetch(fd, h, good, 0, 0),
		     WANT(EINVAL));
	result_errno("PREFETCH over the end of the address space",
		     edu_prefetch(fd, h, good, -(uintptr_t)good + 1, 0),
		     WANT(EFAULT, EINVAL, EOVERFLOW));
}

/* --- ranges -------------------------------------------------------------------- */

static void ranges(void)
{
	const size_t at = ODP_PAGE + 100, len = ODP_PAGE;
	struct edu_odp_peek peek;
	uint32_t small, all, readable;
	pid_t child;
	int status;

	small = edu_register(fd, good + at, len);
	result_errno("READ of all of a range", edu_read(fd, small, good + at, len),
		     WANT(0));
	result_errno("READ of the byte in front of it",
		     edu_read(fd, small, good + at - 1, 1), WANT(EFAULT));
	result_errno("READ from a byte in front of it on",
		     edu_read(fd, small, good + at - 1, len), WANT(EFAULT));
	result_errno("READ of the byte behind it",
		     edu_read(fd, small, good + at + len, 1), WANT(EFAULT));
	result_errno("READ to a byte behind it",
		     edu_read(fd, small, good + at + 1, len), WANT(EFAULT));
	result_errno("WRITE to a byte behind it",
		     edu_write(fd, small, good + at + 1, len), WANT(EFAULT));
	result_errno("PREFETCH to a page behind it",
		     edu_prefetch(fd, small, good + at, 2 * len, 0), WANT(EFAULT));
	result_errno("PEEK behind it",
		     edu_peek(fd, small, good + at + 2 * ODP_PAGE, &peek),
		     WANT(EFAULT));
	edu_deregister(fd, small);

	edu_must(edu_try_register(fd, good, GOOD_LEN, 0, &readable), "register");
	result_errno("READ of a read-only range", edu_read(fd, readable, good, 1),
		     WANT(0));
	result_errno("WRITE to a read-only range", edu_write(fd, readable, good, 1),
		     WANT(EPERM));
	result_errno("COPY to a read-only range",
		     edu_copy(fd, handle, good, readable, good + ODP_PAGE, 1),
		     WANT(EPERM));
	result_errno("PREFETCH of a read-only range",
		     edu_prefetch(fd, readable, good, 1, 0), WANT(0));
	result_errno("PREFETCH of a read-only range for writing",
		     edu_prefetch(fd, readable, good, 1, EDU_ODP_PREFETCH_WRITE),
		     WANT(EPERM));
	edu_deregister(fd, readable);

	all = edu_register_all(fd);
	result_errno("READ of page 0 by a handle of all", edu_read(fd, all, NULL, 1),
		     WANT(EFAULT));
	result_errno("READ of kernel memory by a handle of all",
		     edu_read(fd, all, (void *)KERNEL_ADDRESS, 1), WANT(EFAULT));
	fflush(stdout);
	child = fork();
	edu_must(child < 0, "fork");
	if (!child) {	/* whose own page stays what it is */
		odp_stamp(good, ODP_PAGE, 0, OLD);
		result_errno("a child's COPY by its parent's handle",
			     edu_copy(fd, all, good + 2 * ODP_PAGE, all, good,
				      ODP_PAGE), WANT(0));
		result_is(odp_stamped(good, ODP_PAGE, 0, OLD),
			  "the child's memory is not written", "compared");
		_exit(0);
	}
	odp_stamp(good + 2 * ODP_PAGE, ODP_PAGE, 2, NEW);
	edu_must(waitpid(child, &status, 0) != child || status, "a child");
	edu_deregister(fd, all);
}

/* What is in front of a hole is done, and done says so. */
static void partly_done(void)
{
	struct edu_odp_dma request = { .length = GOOD_LEN };
	unsigned char *addr = edu_reserve(GOOD_LEN);
	const size_t hole = 5;
	uint32_t range;
	char got[80];
	int err;

	edu_put_small(addr, GOOD_LEN);
	munmap(addr + hole * ODP_PAGE, ODP_PAGE);
	range = edu_register(fd, addr, GOOD_LEN);
	for (size_t i = 0; i < GOOD_PAGES; i++)
		odp_stamp(good + i * ODP_PAGE, ODP_PAGE, i, NEW);
	for (int op = EDU_ODP_READ; op <= EDU_ODP_COPY; op++) {
		request.op = op;
		request.source_handle = op == EDU_ODP_READ ? range :
					op == EDU_ODP_COPY ? handle : 0;
		request.source = op == EDU_ODP_READ ? (uintptr_t)addr :
				 op == EDU_ODP_COPY ? (uintptr_t)good : 0;
		request.target_handle = op == EDU_ODP_READ ? 0 : range;
		request.target = op == EDU_ODP_READ ? 0 : (uintptr_t)addr;
		err = edu_dma(fd, &request);
		snprintf(got, sizeof(got), "%s, %llu bytes done",
			 strerrorname_np(err) ?: "accepted", request.done);
		result_is(err == EFAULT && request.done == hole * ODP_PAGE,
			  op == EDU_ODP_READ ? "READ over a hole" :
			  op == EDU_ODP_WRITE ? "WRITE over a hole" :
			  "COPY over a hole", got);
	}
	for (size_t i = 0; i < GOOD_PAGES; i++) {
		const bool done = i < hole;

		if (i != hole && done != odp_stamped(addr + i * ODP_PAGE, ODP_PAGE,
						     i, NEW))
			result_is(false, "the pages around the hole", "wrong data");
	}
	edu_deregister(fd, range);
}

static void requests(void)
{
	numbers();
	pointers();
	registrations();
	handles();
	fields();
	ranges();
	partly_done();
	works("bad requests");
}

static void many(void)
{
	uint32_t other;
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < EDU_ODP_MAX_RANGES; i++)
		err = edu_try_register(fd, good, GOOD_LEN, 0, &other);
	result_errno("as many ranges as a file may have", err, WANT(0));
	result_errno("one more", edu_try_register(fd, good, GOOD_LEN, 0, &other),
		     WANT(ENOSPC));
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int err;

	fd = edu_open();
	good = edu_reserve(EDU_HUGE);
	edu_put_small(good, GOOD_LEN);
	if (!strcmp(what, "many")) {
		many();
		return ODP_OK;
	}
	err = edu_try_register(fd, good, GOOD_LEN, EDU_ODP_REGISTER_WRITE, &handle);
	if (!strcmp(what, "register")) {
		puts(err ? strerrorname_np(err) : "accepted");
		return ODP_OK;
	}
	if (err)
		odp_die(err, "register");
	if (strcmp(what, "requests"))
		odp_die(0, "usage: %s requests|register|many", argv[0]);
	requests();
	return ODP_OK;
}
