// SPDX-License-Identifier: GPL-2.0
/*
 * The owner of a page fault that nobody serves: what becomes of him, and of it.
 *
 * rxe_unserved_owner kill         cases: a process that is killed amid it goes, with all that
 *                                 it had of the device; so does that of one that runs
 *                                 another program
 * rxe_unserved_owner reap GROUP   cases: so does one that wants too much memory, which comes
 *                                 back; GROUP: a cgroup with a limit
 * rxe_unserved_owner hold write|prefetch|killed    prints "held", reads a line, serves it,
 *                                 prints "served". killed: the process that has the fault
 *                                 was killed
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/cases.h"
#include "lib/child.h"
#include "lib/held.h"
#include "lib/patience.h"
#include "lib/uffd.h"

/* --- who is killed ---------------------------------------------------------------------- */

enum order { DEVICE_FIRST, FD_FIRST };

struct holder {
	enum order order;
	const char *group;	/* a cgroup, or NULL: eats memory in it, when it may go on */
	bool exec;		/* runs another program, when it may go on */
};

static void run_holder(const void *argument)
{
	const struct holder *holder = argument;
	struct odp device = {};
	struct held h = {};
	int fd;

	if (holder->group) {
		fd = open(holder->group, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, "0", 1) != 1)
			odp_die(errno, "%s", holder->group);
	}
	if (holder->order == FD_FIRST)
		h.fd = uffd_open();
	odp_open(&device);
	if (holder->order == DEVICE_FIRST)
		h.fd = uffd_open();
	held_open(&h, &device);
	held_write(&h);
	child_tell('f', h.fd);
	child_await();
	if (holder->exec)
		execlp("sleep", "sleep", "infinity", NULL);
	while (holder->group)
		memset(odp_map(1 << 20), 1, 1 << 20);
}

/* A process with a fault that is not served. */
static struct child start_holder(struct holder holder, int *keep)
{
	struct child c = child_start(run_holder, &holder);
	const int fd = child_must_tell(&c, 'f');

	if (keep)
		*keep = child_fd(&c, fd);
	return c;
}

static void goes(struct child c, const char *resources, const char *what)
{
	const double start = patience_seconds();
	const bool gone = child_dies(&c, child_limit());
	const bool all = gone && child_resources_are(resources, child_limit());
	char text[100];

	snprintf(text, sizeof(text), "%s, %.2f s", !gone ? "it does not" : all ?
		 "with all it had" : "but not all it had", patience_seconds() - start);
	result_is(all, what, text);
}

static void killed(void)
{
	char resources[200];
	struct child c;
	int keep;

	child_resources(resources, sizeof(resources));
	goes(start_holder((struct holder){ .order = DEVICE_FIRST }, NULL), resources,
	     "who is killed goes, with its userfaultfd");
	goes(start_holder((struct holder){ .order = FD_FIRST }, NULL), resources,
	     "who is killed goes, with a userfaultfd older than its device");
	c = start_holder((struct holder){ .order = DEVICE_FIRST }, &keep);
	goes(c, resources, "who is killed goes, another process has its userfaultfd");
	close(keep);
	c = start_holder((struct holder){ .exec = true }, &keep);
	child_go(&c);
	result_is(child_resources_are(resources, child_limit()),
		  "what a process had goes when it runs another program", "it does");
	close(keep);
	child_dies(&c, child_limit());
}

static unsigned long bytes_of(const char *group)
{
	unsigned long bytes = 0;
	char path[200];
	FILE *file;

	snprintf(path, sizeof(path), "%s/memory.current", group);
	file = fopen(path, "r");
	if (!file || fscanf(file, "%lu", &bytes) != 1)
		odp_die(errno, "%s", path);
	fclose(file);
	return bytes;
}

/* Killed for want of memory, amid the fault. */
static void reap(const char *group)
{
	char procs[200], text[100], resources[200];
	unsigned long before, after;
	struct child c;
	double end;
	int keep;

	child_resources(resources, sizeof(resources));
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", group);
	c = start_holder((struct holder){ .group = procs }, &keep);
	before = bytes_of(group);
	child_go(&c);
	result_is(child_gone(&c, 30 + HELD_SOON_S), "who is killed for want of memory goes",
		  "it does");
	end = patience_seconds() + HELD_SOON_S;
	/* The OOM reaper comes some seconds later */
	do {
		after = bytes_of(group);
		usleep(100000);
	} while (after >= before + (1 << 20) && patience_seconds() < end);
	snprintf(text, sizeof(text), "%lu KiB, %lu KiB before it wanted more", after >> 10,
		 before >> 10);
	result_is(after < before + (1 << 20), "its memory has come back", text);
	result_is(child_resources_are(resources, child_limit()),
		  "what it had of the device has too", "it has");
	close(keep);
}

/* --- for the scripts -------------------------------------------------------------------------- */

static void *prefetch(void *arg)
{
	struct held *h = arg;

	odp_prefetch(&h->o, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, h->mr, HELD, ODP_PAGE);
	return NULL;
}

static void say(const char *word)
{
	printf("%s\n", word);
	fflush(stdout);
}

static void held_until_told(const char *how)
{
	struct odp device = {};
	struct held h = {};
	pthread_t thread;
	struct child c;
	int keep = -1;

	if (!strcmp(how, "killed")) {
		c = start_holder((struct holder){ .order = DEVICE_FIRST }, &keep);
		if (!child_dies(&c, HELD_SOON_S))
			odp_die(0, "the process does not go");
	} else {
		odp_open(&device);
		h.fd = uffd_open();
		held_open(&h, &device);
		if (!strcmp(how, "write")) {
			held_write(&h);
		} else {
			pthread_create(&thread, NULL, prefetch, &h);
			held_wait(&h);
		}
	}
	say("held");
	getchar();
	if (keep >= 0) {
		close(keep);
	} else {
		held_serve(&h);
		if (!strcmp(how, "write") && odp_wait_wc(&h.o).status)
			odp_die(0, "the RDMA WRITE has failed");
		if (strcmp(how, "write"))
			pthread_join(thread, NULL);
	}
	say("served");
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "kill"))
		killed();
	else if (!strcmp(what, "reap") && argc > 2)
		reap(argv[2]);
	else if (!strcmp(what, "hold") && argc > 2)
		held_until_told(argv[2]);
	else
		odp_die(0, "usage: %s kill | reap GROUP | hold HOW", argv[0]);
	return ODP_OK;
}
