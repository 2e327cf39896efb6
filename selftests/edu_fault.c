// SPDX-License-Identifier: GPL-2.0
/*
 * Page faults of the edu device's DMAs that take their time.
 *
 * edu_fault served      userfaultfd serves a page: the data is right
 * edu_fault unserved    nobody does for a while: other DMAs go on meanwhile
 * edu_fault killed      nobody ever does: the task can be killed
 * edu_fault endless     a PREFETCH of the whole address space can be killed
 * edu_fault limit MIB   the device writes that much memory, which is then right
 */

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/edu.h"
#include "lib/uffd.h"

#define PAGES	4UL
#define LEN	(PAGES * ODP_PAGE)
#define HOLD_S	2	/* a page fault takes that long */
#define KILL_S	20	/* for a killed task's end */

static int fd, uffd;
static unsigned char *own, *absent;	/* the latter is userfaultfd's */
static uint32_t own_handle, absent_handle;
static atomic_bool over;

/* The page that is asked for next. */
static size_t asked(void)
{
	unsigned char *page = uffd_asked(uffd, -1);

	if (!page)
		odp_die(0, "no page fault from userfaultfd");
	return (page - absent) / ODP_PAGE;
}

static void serve(size_t page)
{
	static unsigned char data[ODP_PAGE] __attribute__((aligned(4096)));
	int err;

	odp_stamp(data, ODP_PAGE, page, 1);
	err = uffd_serve(uffd, absent + page * ODP_PAGE, data);
	if (err)
		odp_die(err, "UFFDIO_COPY");
}

static void *serve_all(void *arg)
{
	(void)arg;
	for (size_t i = 0; i < PAGES; i++)
		serve(asked());
	return NULL;
}

static int served(void)
{
	unsigned long wrong = 0;
	pthread_t thread;
	int err;

	if (pthread_create(&thread, NULL, serve_all, NULL))
		odp_die(0, "pthread_create");
	err = edu_copy(fd, absent_handle, absent, own_handle, own, LEN);
	pthread_join(thread, NULL);
	for (size_t i = 0; i < PAGES; i++)
		wrong += !odp_stamped(own + i * ODP_PAGE, ODP_PAGE, i, 1);
	printf("%s, %lu wrong pages of %lu\n", err ? strerror(err) : "done", wrong,
	       PAGES);
	return err || wrong ? ODP_DEFECT : ODP_OK;
}

static void *read_absent(void *arg)
{
	*(int *)arg = edu_read(fd, absent_handle, absent, ODP_PAGE);
	atomic_store(&over, true);
	return NULL;
}

static int unserved(void)
{
	unsigned long copies = 0, wrong = 0;
	pthread_t thread;
	size_t page;
	double end;
	int err;

	if (pthread_create(&thread, NULL, read_absent, &err))
		odp_die(0, "pthread_create");
	page = asked();
	for (end = edu_seconds() + HOLD_S; edu_seconds() < end || copies < 3; copies++) {
		odp_stamp(own, ODP_PAGE, 0, copies);
		wrong += edu_copy(fd, own_handle, own, own_handle, own + ODP_PAGE,
				  ODP_PAGE) ||
			 !odp_stamped(own + ODP_PAGE, ODP_PAGE, 0, copies);
	}
	if (atomic_load(&over))
		odp_die(0, "the DMA did not wait for its page");
	serve(page);
	pthread_join(thread, NULL);
	printf("%lu COPYs meanwhile, %lu wrong; then: %s\n", copies, wrong,
	       err ? strerror(err) : "done");
	return err || wrong ? ODP_DEFECT : ODP_OK;
}

/* Whether a child is gone soon after it is killed. */
static int kill_soon(pid_t child)
{
	const double begin = edu_seconds();
	pid_t gone;

	kill(child, SIGKILL);
	while (!(gone = waitpid(child, NULL, WNOHANG)) &&
	       edu_seconds() < begin + KILL_S)
		edu_sleep(0.01);
	if (gone != child) {
		printf("the task is still there\n");
		return ODP_DEFECT;
	}
	printf("the task is gone in %.3f s\n", edu_seconds() - begin);
	return ODP_OK;
}

static pid_t fork_or_die(void)
{
	pid_t child = fork();

	if (child < 0)
		odp_die(errno, "fork");
	return child;
}

/* The child uses our ranges, and so waits for our page. */
static int killed(void)
{
	pid_t child = fork_or_die();
	int status;

	if (!child)
		_exit(edu_read(fd, absent_handle, absent, ODP_PAGE));
	asked();
	edu_sleep(0.2);
	if (waitpid(child, &status, WNOHANG))
		odp_die(0, "the DMA did not wait: status %#x", status);
	status = kill_soon(child);
	odp_stamp(own, ODP_PAGE, 0, 1);
	if (edu_copy(fd, own_handle, own, own_handle, own + ODP_PAGE, ODP_PAGE) ||
	    !odp_stamped(own + ODP_PAGE, ODP_PAGE, 0, 1)) {
		printf("the device does not work afterwards\n");
		return ODP_DEFECT;
	}
	return status;
}

/* What is not resident is no error, so it goes on to the end of user space. */
static int endless(void)
{
	uint32_t all = edu_register_all(fd);
	pid_t child = fork_or_die();

	if (!child)
		_exit(edu_prefetch(fd, all, NULL, (1UL << 47) - ODP_PAGE,
				   EDU_ODP_PREFETCH_NO_FAULT));
	edu_sleep(0.5);
	return kill_soon(child);
}

static int limit(size_t len)
{
	unsigned char *addr = odp_map(len);
	uint32_t handle = edu_register(fd, addr, len);
	unsigned long wrong = 0;

	for (size_t i = 0; i < len / ODP_PAGE; i++) {
		int err;

		/* Of each, a part only: that is enough for the page */
		memcpy(own, &i, sizeof(i));
		if (i % 16 == 0)
			err = edu_copy(fd, own_handle, own, handle,
				       addr + i * ODP_PAGE, sizeof(i));
		else
			err = edu_prefetch(fd, handle, addr + i * ODP_PAGE, 1,
					   EDU_ODP_PREFETCH_WRITE);
		if (err)
			odp_die(err, "page %zu", i);
	}
	for (size_t i = 0; i < len / ODP_PAGE; i += 16)
		wrong += memcmp(addr + i * ODP_PAGE, &i, sizeof(i)) != 0;
	printf("%zu pages, %lu wrong\n", len / ODP_PAGE, wrong);
	return wrong ? ODP_DEFECT : ODP_OK;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	fd = edu_open();
	own = odp_map(LEN);
	own_handle = edu_register(fd, own, LEN);
	absent = odp_map(LEN);
	absent_handle = edu_register(fd, absent, LEN);
	uffd = uffd_open();
	uffd_watch(uffd, absent, LEN);
	if (!strcmp(what, "served"))
		return served();
	if (!strcmp(what, "unserved"))
		return unserved();
	if (!strcmp(what, "killed"))
		return killed();
	if (!strcmp(what, "endless"))
		return endless();
	if (!strcmp(what, "limit") && argc == 3)
		return limit(strtoul(argv[2], NULL, 0) << 20);
	odp_die(0, "usage: %s served|unserved|killed|endless|limit MIB", argv[0]);
}
