// SPDX-License-Identifier: GPL-2.0
/*
 * The owner of an ODP region goes away in the middle of faults: it exits, is
 * killed, execs, or leaves the region to a child that goes on using it.
 *
 * owner_exit ROUNDS
 */

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/odp.h"

#define PAGES	256
#define ROUND_S	60	/* a round that takes longer hangs */

enum end { EXIT, KILL, EXEC, ORPHAN, ENDS };

static const char *const end_name[ENDS] = { "exit", "kill", "exec", "orphan" };

struct owner {
	struct odp o;
	unsigned char *addr;
	struct ibv_mr *mr, *source_mr;
	unsigned short rnd[3];
};

/* Faults by RDMA, until the process ends. */
static void *writes(void *arg)
{
	struct owner *w = arg;

	while (w->mr)
		odp_rdma_pages(&w->o, IBV_WR_RDMA_WRITE, w->source_mr, 0, w->mr,
			       0, PAGES, w->o.chunk);
	return NULL;
}

/* Faults by synchronous prefetch. */
static void *prefetches(void *arg)
{
	struct owner *w = arg;

	while (w->mr)
		odp_prefetch(&w->o, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, w->mr,
			     0, PAGES * ODP_PAGE);
	return NULL;
}

/* Invalidations, so that the faults find work. */
static void *drops(void *arg)
{
	struct owner *w = arg;

	while (w->mr)
		madvise(w->addr, PAGES * ODP_PAGE, MADV_DONTNEED);
	return NULL;
}

static void own(struct owner *w)
{
	odp_open(&w->o);
	w->addr = odp_map(PAGES * ODP_PAGE);
	w->mr = odp_reg(&w->o, w->addr, PAGES * ODP_PAGE,
			ODP_RW | IBV_ACCESS_ON_DEMAND);
	w->source_mr = odp_reg(&w->o, odp_map(ODP_PAGE), ODP_PAGE,
			       IBV_ACCESS_LOCAL_WRITE);
}

/*
 * The memory of the region is gone, the region is not: every use of it has to
 * end with an error.
 */
static void inherit(struct owner *w, int parent_gone)
{
	char c;

	if (read(parent_gone, &c, 1) != 0)
		odp_die(0, "the parent wrote to the pipe");
	odp_await_owner_end(&w->o, w->mr, PAGES * ODP_PAGE);
	exit(ODP_OK);
}

static void owner(enum end end, struct owner *w, int ready)
{
	void *(*const work[])(void *) = { writes, prefetches, drops };
	int parent_gone[2];
	pthread_t thread;

	own(w);
	if (end == ORPHAN) {
		if (pipe(parent_gone))
			odp_die(errno, "pipe");
		if (!fork()) {
			close(parent_gone[1]);
			inherit(w, parent_gone[0]);
		}
		close(parent_gone[0]);
		/* ready stays open in the child: the round ends with it */
	}
	for (size_t i = 0; i < sizeof(work) / sizeof(work[0]); i++)
		if (pthread_create(&thread, NULL, work[i], w))
			odp_die(0, "pthread_create failed");
	if (write(ready, "r", 1) != 1)
		odp_die(errno, "write");
	usleep(odp_random(w->rnd, 5000));
	if (end == EXEC)
		execl("/bin/true", "true", NULL);
	if (end == KILL)
		pause();
	_exit(ODP_OK);
}

static void round_of(enum end end, unsigned short rnd[3])
{
	struct owner w = {};
	int ready[2], status;
	pid_t pid;
	char c;

	for (int i = 0; i < 3; i++)
		w.rnd[i] = odp_random(rnd, 65536);
	if (pipe(ready))
		odp_die(errno, "pipe");
	pid = fork();
	if (pid < 0)
		odp_die(errno, "fork");
	if (!pid) {
		close(ready[0]);
		owner(end, &w, ready[1]);
	}
	close(ready[1]);
	alarm(ROUND_S);
	if (read(ready[0], &c, 1) != 1)
		odp_die(0, "%s: the owner did not start", end_name[end]);
	if (end == KILL) {
		usleep(odp_random(rnd, 5000));
		kill(pid, SIGKILL);
	}
	if (waitpid(pid, &status, 0) != pid)
		odp_die(errno, "waitpid");
	if (end == KILL ? !WIFSIGNALED(status) :
	    !WIFEXITED(status) || WEXITSTATUS(status))
		odp_die(0, "%s: wait status %#x", end_name[end], status);
	/* Orphans are reparented to us, the subreaper */
	if (end == ORPHAN && (wait(&status) < 0 || status))
		odp_die(0, "%s: wait status %#x", end_name[end], status);
	close(ready[0]);
	alarm(0);
}

int main(int argc, char **argv)
{
	unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 0) : 500;
	unsigned long done[ENDS] = {};
	unsigned short rnd[3];
	struct ibv_device **list;

	odp_seed(rnd);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1))
		odp_die(errno, "prctl");
	/* Loads the provider once, not in every owner */
	list = ibv_get_device_list(NULL);
	for (unsigned long i = 0; i < rounds; i++) {
		enum end end = odp_random(rnd, ENDS);

		round_of(end, rnd);
		done[end]++;
	}
	if (list)
		ibv_free_device_list(list);
	printf("%lu rounds:", rounds);
	for (int i = 0; i < ENDS; i++)
		printf(" %lu %s", done[i], end_name[i]);
	printf("\n");
	return ODP_OK;
}
