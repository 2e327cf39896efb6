// SPDX-License-Identifier: GPL-2.0
/* See fail_nth.h */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fail_nth.h"
#include "odp.h"

#define MOST		20000	/* steps; no operation here allocates as often */
#define STEP_S		120	/* that a step may take */
#define ERRNOS		134
#define SHOWN		10

/* What a step tells the sweep, and the sum of it. */
struct outcome {
	unsigned int injected, wrong, err[ERRNOS];
};

static int file = -1;

static void set(unsigned int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", n);

	if (pwrite(file, text, len, 0) != len)
		odp_die(errno, "fail-nth");
}

void fail_nth_arm(unsigned int n)
{
	if (file < 0)
		file = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (file < 0 && errno == ENOENT) {
		fprintf(stderr, "this kernel cannot inject faults\n");
		exit(ODP_SKIP);
	}
	if (file < 0)
		odp_die(errno, "fail-nth");
	set(n);
}

bool fail_nth_disarm(void)
{
	char text[16] = "";

	if (pread(file, text, sizeof(text) - 1, 0) <= 0)
		odp_die(errno, "fail-nth");
	set(0);
	return !atoi(text);
}

/* What a caller may be told when there is no memory; ENFILE, for a socket of the kernel. */
static bool sane(int err)
{
	return err == ENOMEM || err == EAGAIN || err == ENFILE;
}

static void wrong(struct outcome *out, unsigned int n, const char *what, int err)
{
	printf("n=%u: %s%s%s\n", n, what, err ? ": " : "",
	       err ? strerrorname_np(err) : "");
	out->wrong++;
}

/* One step, in a process of its own: its address space is a new one. */
static void step(const struct sweep *s, unsigned int n, struct outcome *out)
{
	int err;

	alarm(STEP_S);
	s->prepare();
	fail_nth_arm(n);
	err = s->run();
	out->injected = fail_nth_disarm();
	if (err < 0 || err >= ERRNOS)
		odp_die(0, "run() returned %d", err);
	out->err[err]++;
	if (err) {
		if (!out->injected)
			wrong(out, n, "failed without a fault", err);
		else if (!sane(err))
			wrong(out, n, "failed with", err);
		if (s->unchanged && !s->unchanged())
			wrong(out, n, "left something behind", 0);
		err = s->run();
		if (err)
			wrong(out, n, "again, without a fault", err);
	}
	if (!err && !s->right())
		wrong(out, n, "not right afterwards", 0);
	fflush(stdout);
	_exit(0);
}

/* Returns whether a fault was injected. */
static bool step_apart(const struct sweep *s, unsigned int n, struct outcome *shared,
		       struct outcome *sum)
{
	int status;
	pid_t pid;

	*shared = (struct outcome){};
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		odp_die(errno, "fork");
	if (!pid)
		step(s, n, shared);
	if (waitpid(pid, &status, 0) != pid)
		odp_die(errno, "waitpid");
	if (WIFEXITED(status) && WEXITSTATUS(status) == ODP_SKIP)
		exit(ODP_SKIP);
	if (status) {
		printf("n=%u: wait status %#x\n", n, status);
		shared->wrong++;
	}
	sum->injected += shared->injected;
	sum->wrong += shared->wrong;
	for (int err = 0; err < ERRNOS; err++)
		sum->err[err] += shared->err[err];
	return shared->injected;
}

static int sweep(const struct sweep *s, unsigned int only)
{
	struct outcome *shared, sum = {};
	unsigned int n = only ?: 1;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		odp_die(errno, "mmap");
	while (step_apart(s, n, shared, &sum) && !only && sum.wrong < SHOWN)
		if (++n > MOST)
			odp_die(0, "%s: no end after %u faults", s->name, MOST);
	printf("%s: %u faults;", s->name, sum.injected);
	for (int err = 0; err < ERRNOS; err++)
		if (sum.err[err])
			printf(" %s %u,", err ? strerrorname_np(err) : "success",
			       sum.err[err]);
	printf(" %u wrong\n", sum.wrong);
	printf("figure injected %u\nfigure wrong %u\n", sum.injected, sum.wrong);
	return sum.wrong ? ODP_DEFECT : ODP_OK;
}

int sweep_main(int argc, char **argv, const struct sweep *sweeps, unsigned int count)
{
	for (unsigned int i = 0; argc >= 2 && i < count; i++)
		if (!strcmp(sweeps[i].name, argv[1]))
			return sweep(&sweeps[i], argc > 2 ? atoi(argv[2]) : 0);
	fprintf(stderr, "usage: %s NAME [N], with one of these names:\n", argv[0]);
	for (unsigned int i = 0; i < count; i++)
		fprintf(stderr, "  %s\n", sweeps[i].name);
	return ODP_ERROR;
}
