// SPDX-License-Identifier: GPL-2.0
/* A process that does what may not end, see child.h */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "child.h"
#include "odp.h"
#include "patience.h"

#define LIMIT_S	2
#define START_S	30	/* for what comes before */

struct word {
	char word;
	long number;
};

static int to_parent, from_parent;

double child_limit(void)
{
	return LIMIT_S * odp_env("ODP_SLOW", 1);
}

struct child child_start(void (*run)(const void *argument), const void *argument)
{
	int up[2], down[2];
	struct child c;

	if (pipe(up) || pipe(down))
		odp_die(errno, "pipe");
	fflush(stdout);
	c.pid = fork();
	if (c.pid < 0)
		odp_die(errno, "fork");
	if (!c.pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(up[0]);
		close(down[1]);
		to_parent = up[1];
		from_parent = down[0];
		run(argument);
		for (;;)
			pause();
	}
	close(up[1]);
	close(down[0]);
	c.from = up[0];
	c.to = down[1];
	return c;
}

void child_tell(char word, long number)
{
	const struct word w = { word, number };

	if (write(to_parent, &w, sizeof(w)) != sizeof(w))
		_exit(ODP_ERROR);
}

void child_await(void)
{
	char go;

	if (read(from_parent, &go, 1) != 1)
		_exit(ODP_ERROR);
}

void child_go(const struct child *c)
{
	if (write(c->to, "g", 1) != 1)
		odp_die(errno, "a child that waits");
}

bool child_told(struct child *c, char word, long *number, double s)
{
	struct pollfd event = { .fd = c->from, .events = POLLIN };
	struct word w;

	if (poll(&event, 1, s * 1000) != 1 || read(c->from, &w, sizeof(w)) != sizeof(w) ||
	    w.word != word)
		return false;
	if (number)
		*number = w.number;
	return true;
}

long child_must_tell(struct child *c, char word)
{
	long number = 0;

	if (!child_told(c, word, &number, START_S * odp_env("ODP_SLOW", 1)))
		odp_die(0, "a child does not come as far as '%c'", word);
	return number;
}

int child_fd(const struct child *c, int fd)
{
	const int pidfd = syscall(SYS_pidfd_open, c->pid, 0);
	const int here = syscall(SYS_pidfd_getfd, pidfd, fd, 0);

	if (here < 0)
		odp_die(errno, "pidfd_getfd");
	close(pidfd);
	return here;
}

bool child_gone(struct child *c, double s)
{
	if (!patience_gone(c->pid, s))
		return false;
	close(c->from);
	close(c->to);
	c->pid = 0;
	return true;
}

bool child_dies(struct child *c, double s)
{
	kill(c->pid, SIGKILL);
	return child_gone(c, s);
}

void child_resources(char *text, size_t size)
{
	FILE *rdma;

	snprintf(text, size, "rdma resource show %s", getenv("ODP_DEV") ?: "rxe0");
	rdma = popen(text, "r");
	if (!rdma || !fgets(text, size, rdma))
		odp_die(errno, "rdma resource show");
	pclose(rdma);
}

bool child_resources_are(const char *text, double s)
{
	const double end = patience_seconds() + s;
	char now[200];

	for (;;) {
		child_resources(now, sizeof(now));
		if (!strcmp(now, text))
			return true;
		if (patience_seconds() > end)
			return false;
		usleep(50000);
	}
}
