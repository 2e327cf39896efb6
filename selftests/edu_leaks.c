// SPDX-License-Identifier: GPL-2.0
/*
 * Work that leaves nothing behind.
 *
 * edu_leaks cycles N    registers, faults in, takes away, deregisters
 * edu_leaks kills N     processes that are killed amid DMAs
 * edu_leaks hold N      N ranges with a window each: says "ready", and keeps them
 *                       until its standard input ends
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/edu.h"

#define PAGES	4UL
#define LEN	(PAGES * ODP_PAGE)
#define WINDOWS	(2 * EDU_HUGE)	/* smaller IOVA ranges stay in the kernel's caches */

static unsigned short rnd[3];

static void must(int err, const char *what, unsigned long cycle)
{
	if (err)
		odp_die(err, "cycle %lu: %s", cycle, what);
}

/* Two windows, with pages on both sides of their border. */
static unsigned char *two_windows(unsigned char **pages)
{
	unsigned char *windows = edu_reserve(WINDOWS);

	*pages = windows + EDU_HUGE - LEN / 2;
	edu_put_small(*pages, LEN);
	return windows;
}

/* Everything that a range can be left with when it goes. */
static void cycle(int fd, unsigned char *windows, unsigned char *addr,
		  unsigned long i)
{
	uint32_t handle = odp_random(rnd, 4) ?
			  edu_register(fd, windows, WINDOWS) :
			  edu_register_all(fd);
	bool write = odp_random(rnd, 2);

	must(edu_prefetch(fd, handle, addr, LEN,
			  write ? EDU_ODP_PREFETCH_WRITE : 0), "PREFETCH", i);
	switch (odp_random(rnd, 4)) {
	case 0:
		must(madvise(addr, LEN, MADV_DONTNEED) ? errno : 0,
		     "MADV_DONTNEED", i);
		break;
	case 1:
		munmap(addr, LEN);
		if (edu_prefetch(fd, handle, addr, LEN, 0) != EFAULT)
			odp_die(0, "cycle %lu: PREFETCH of a hole", i);
		edu_put_small(addr, LEN);
		break;
	case 2:
		mprotect(addr, ODP_PAGE, PROT_READ);
		mprotect(addr, ODP_PAGE, PROT_READ | PROT_WRITE);
		break;
	}
	if (odp_random(rnd, 50) == 0)
		must(edu_write(fd, handle, addr, 100), "WRITE", i);
	must(edu_deregister(fd, handle), "DEREGISTER", i);
}

static void cycles(unsigned long count)
{
	unsigned char *addr, *windows = two_windows(&addr);
	int fd = edu_open();

	for (unsigned long i = 0; i < count; i++)
		cycle(fd, windows, addr, i);
	printf("%lu cycles\n", count);
}

/* Until it is killed. */
static void work(int tell)
{
	unsigned char *addr, *windows = two_windows(&addr);
	int fd = edu_open();
	uint32_t range, all;

	range = edu_register(fd, windows, WINDOWS);
	all = edu_register_all(fd);
	if (write(tell, "r", 1) != 1)
		_exit(ODP_ERROR);
	for (unsigned long i = 0; ; i++) {
		must(edu_copy(fd, range, addr, all, addr + LEN / 2, LEN / 2), "COPY",
		     i);
		madvise(addr, LEN, MADV_DONTNEED);
		must(edu_prefetch(fd, all, addr, LEN, 0), "PREFETCH", i);
	}
}

static void kills(unsigned long count)
{
	int ends[2], status;

	for (unsigned long i = 0; i < count; i++) {
		pid_t child;
		char c;

		if (pipe(ends))
			odp_die(errno, "pipe");
		child = fork();
		if (child < 0)
			odp_die(errno, "fork");
		if (!child)
			work(ends[1]);
		close(ends[1]);
		if (read(ends[0], &c, 1) != 1)
			odp_die(0, "a child did not start");
		edu_sleep(odp_random(rnd, 450) / 1e3);
		kill(child, SIGKILL);
		if (waitpid(child, &status, 0) != child || !WIFSIGNALED(status))
			odp_die(0, "a child: wait status %#x", status);
		close(ends[0]);
	}
	printf("%lu processes killed\n", count);
}

static void hold(unsigned long count)
{
	unsigned char *addr = edu_reserve(count * EDU_HUGE);
	int fd = edu_open();
	char c;

	edu_put(addr, count * EDU_HUGE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		-1);
	madvise(addr, count * EDU_HUGE, MADV_NOHUGEPAGE);
	for (unsigned long i = 0; i < count; i++) {
		unsigned char *at = addr + i * EDU_HUGE;
		uint32_t handle = edu_register(fd, at, EDU_HUGE);

		must(edu_prefetch(fd, handle, at, 1, EDU_ODP_PREFETCH_WRITE),
		     "PREFETCH", i);
		if (!edu_page_mode(fd, handle, at))
			odp_die(0, "range %lu: the page is not mapped", i);
	}
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
}

int main(int argc, char **argv)
{
	unsigned long count = argc == 3 ? strtoul(argv[2], NULL, 0) : 0;

	if (!count)
		odp_die(0, "usage: %s cycles|kills|hold N", argv[0]);
	if (!strcmp(argv[1], "hold")) {
		hold(count);
		return ODP_OK;
	}
	odp_seed(rnd);
	if (!strcmp(argv[1], "cycles"))
		cycles(count);
	else
		kills(count);
	return ODP_OK;
}
