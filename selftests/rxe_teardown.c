// SPDX-License-Identifier: GPL-2.0
/*
 * Who destroys, resets, closes or exits, or is killed amid that, does not wait for a page
 * that nobody serves. Nothing is left when it is served, and before that nothing of a
 * process that is gone, but where the kernel cannot end the page fault.
 *
 * rxe_teardown MEMORY [few]   cases: each kind of operation that waits, each call, in a
 *                             process of its own. MEMORY: as in blocked.h, uffd, fuse,
 *                             fuse-shared, fuse-random. few: not all calls
 * rxe_teardown hold MEMORY    one process that waits in all of these ways: prints "held",
 *                             reads a line, serves the pages, prints "served", ends. If
 *                             the file system is gone: waits for an error of each
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/blocked.h"
#include "lib/cases.h"
#include "lib/child.h"
#include "lib/fuse.h"
#include "lib/patience.h"

#define GIVE_UP	8	/* failures: what comes then says nothing new, and takes long */

static const char *const memory_option[] = {
	[BLOCKED_UFFD] = "uffd",
	[BLOCKED_FUSE] = "fuse",
	[BLOCKED_FUSE_SHARED] = "fuse-shared",
	[BLOCKED_FUSE_RANDOM] = "fuse-random",
};

/* --- what must end: 0, or an errno ------------------------------------------------------- */

static long destroy(struct blocked *b)
{
	return ibv_destroy_qp(b->qp);
}

static long deregister(struct blocked *b)
{
	return ibv_dereg_mr(b->mr);
}

/* All that is in it goes first, as it must. */
static long deallocate(struct blocked *b)
{
	return ibv_destroy_qp(b->o.qp) ?: ibv_destroy_qp(b->o.peer) ?: ibv_dereg_mr(b->mr) ?:
	       ibv_dereg_mr(b->pinned) ?: ibv_dealloc_pd(b->o.pd);
}

static long deallocate_in_use(struct blocked *b)
{
	return ibv_dealloc_pd(b->o.pd) == EBUSY ? 0 : EINVAL;
}

static long modify_to(struct blocked *b, enum ibv_qp_state state)
{
	struct ibv_qp_attr attr = { .qp_state = state };

	return ibv_modify_qp(b->qp, &attr, IBV_QP_STATE);
}

static long reset(struct blocked *b)
{
	return modify_to(b, IBV_QPS_RESET);
}

static long error(struct blocked *b)
{
	return modify_to(b, IBV_QPS_ERR);
}

static long reregister(struct blocked *b)
{
	return odp_rereg_mr(&b->o, &(struct ib_uverbs_rereg_mr){
		.mr_handle = b->mr->handle,
		.flags = IBV_REREG_MR_CHANGE_ACCESS,
		.start = (uintptr_t)b->addr,
		.length = BLOCKED_LEN,
		.hca_va = (uintptr_t)b->addr,
		.pd_handle = b->o.pd->handle,
		.access_flags = IBV_ACCESS_REMOTE_READ | IBV_ACCESS_ON_DEMAND,
	});
}

/* A queue that is mapped is a reference to the file. */
static long close_file(struct blocked *b)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long start, end;
	char line[300];

	while (maps && fgets(line, sizeof(line), maps))
		if (strstr(line, "/uverbs") && sscanf(line, "%lx-%lx", &start, &end) == 2)
			munmap((void *)start, end - start);
	if (maps)
		fclose(maps);
	return close(b->o.ctx->cmd_fd) ? errno : 0;
}

__attribute__((noreturn)) static long leave(struct blocked *b)
{
	(void)b;
	_exit(ODP_OK);
}

static long sleep_on(struct blocked *b)
{
	(void)b;
	return pause();
}

static const struct call {
	const char *name;
	long (*run)(struct blocked *b);
	bool of_qp;	/* not for prefetches, which have none */
	bool few;	/* among the few */
} calls[] = {
	{ "nothing", sleep_on, false, true },
	{ "ibv_destroy_qp", destroy, true, true },
	{ "ibv_modify_qp to RESET", reset, true, true },
	{ "ibv_modify_qp to ERR", error, true, false },
	{ "ibv_dereg_mr", deregister, false, true },
	{ "ibv_rereg_mr", reregister, false, false },
	{ "ibv_dealloc_pd", deallocate, false, false },
	{ "ibv_dealloc_pd of one in use", deallocate_in_use, false, false },
	{ "close", close_file, false, true },
	{ "exit", leave, false, true },
};

#define CALLS	(sizeof(calls) / sizeof(calls[0]))

/* --- one process ---------------------------------------------------------------------- */

struct trial {
	enum blocked_memory memory;
	enum blocked_by by;
	const struct call *call;
	bool kill;	/* who is in the call, at once */
};

static void run_trial(const void *argument)
{
	const struct trial *t = argument;
	struct blocked b;

	blocked_start(&b, t->memory, t->by);
	child_tell('f', b.fd);
	child_tell('a', (long)b.addr);
	child_await();
	child_tell('c', 0);
	child_tell('r', t->call->run(&b));
}

/* What went wrong, or NULL. */
static const char *outcome(const struct trial *t, struct child *c, double *took)
{
	const double limit = child_limit(), start = patience_seconds();
	const char *wrong = NULL;
	long result = 0;

	if (t->kill && !child_dies(c, limit))
		wrong = "is not gone";
	else if (!t->kill && t->call->run == leave && !child_gone(c, limit))
		wrong = "is not gone";
	else if (c->pid && !child_told(c, 'r', &result, limit))
		wrong = "has not returned";
	else if (result)
		wrong = strerrorname_np(result);
	*took = patience_seconds() - start;
	if (!wrong && c->pid && !child_dies(c, limit))
		wrong = "has returned, but its process cannot be killed";
	return wrong;
}

/* Its owner being gone ends the page fault, and nothing else does. */
static bool is_about_exit(const struct trial *t)
{
	return (t->call->run == leave || t->call->run == sleep_on) &&
	       t->memory != BLOCKED_FUSE_RANDOM;
}

static bool trial(const struct trial *t, const char *resources)
{
	struct child c = child_start(run_trial, t);
	char what[100], text[200];
	const char *wrong;
	double took = 0;
	void *addr;
	int fd;

	fd = child_fd(&c, child_must_tell(&c, 'f'));
	addr = (void *)child_must_tell(&c, 'a');
	child_go(&c);
	child_must_tell(&c, 'c');
	wrong = outcome(t, &c, &took);
	if (!wrong && is_about_exit(t) && !child_resources_are(resources, child_limit()))
		wrong = "has left something on the device, as long as the page is not served";
	blocked_serve(t->memory, fd, addr);
	if (c.pid && !child_dies(&c, 10 * child_limit()))
		wrong = "is not gone, not even when the page is served";
	if (!wrong && !child_resources_are(resources, child_limit()))
		wrong = "has left something on the device";
	snprintf(what, sizeof(what), "%s, %s, %s%s", blocked_memory_name[t->memory],
		 blocked_by_name[t->by], t->kill ? "SIGKILL amid " : "", t->call->name);
	snprintf(text, sizeof(text), "%s, %.2f s", wrong ?: "in time", took);
	result_is(!wrong, what, text);
	return !wrong;
}

static bool makes_sense(const struct trial *t, bool few)
{
	const bool prefetch = t->by == BLOCKED_PREFETCH || t->by == BLOCKED_PREFETCH_LATER;

	if (few && !t->call->few)
		return false;
	if (prefetch && t->call->of_qp)
		return false;
	/* A page that is read only is not written by these */
	if (t->memory == BLOCKED_FUSE_SHARED &&
	    (t->by == BLOCKED_READ || t->by == BLOCKED_GATHER))
		return false;
	/* Who is in ibv_advise_mr() has the PD in use */
	if (t->by == BLOCKED_PREFETCH && t->call->run == deallocate)
		return false;
	return t->call->run != sleep_on || t->kill;
}

static void trials(enum blocked_memory memory, bool few)
{
	char resources[200];
	int failures = 0;
	struct trial t = { .memory = memory };

	child_resources(resources, sizeof(resources));
	for (t.by = 0; t.by < BLOCKED_BYS; t.by++) {
		for (unsigned int i = 0; i < 2 * CALLS; i++) {
			t.call = &calls[i / 2];
			t.kill = i % 2;
			if (!makes_sense(&t, few) || trial(&t, resources))
				continue;
			if (++failures == GIVE_UP)
				odp_die(0, "%d failures are enough", failures);
		}
	}
}

/* --- for the script -------------------------------------------------------------------- */

/* What waits is over, and has failed. */
static void must_fail(struct blocked *b, enum blocked_by by)
{
	struct ibv_wc wc;

	if (by == BLOCKED_PREFETCH_LATER)
		return;
	if (by == BLOCKED_PREFETCH) {
		if (!patience_ends(b->prefetcher, child_limit()))
			odp_die(0, "%s has not ended", blocked_by_name[by]);
		return;
	}
	for (int ms = 0; !ibv_poll_cq(b->o.cq, 1, &wc); ms++) {
		if (ms > 1000 * child_limit())
			odp_die(0, "%s has not ended", blocked_by_name[by]);
		usleep(1000);
	}
	if (!wc.status)
		odp_die(0, "%s has succeeded", blocked_by_name[by]);
}

static void hold(enum blocked_memory memory)
{
	static struct blocked all[BLOCKED_BYS];

	for (int by = 0; by < BLOCKED_BYS; by++)
		blocked_start(&all[by], memory, by);
	printf("held\n");
	fflush(stdout);
	getchar();
	for (int by = 0; by < BLOCKED_BYS; by++) {
		if (memory == BLOCKED_UFFD || fuse_is_there())
			blocked_serve(memory, all[by].fd, all[by].addr);
		else
			must_fail(&all[by], by);
	}
	printf("served\n");
	fflush(stdout);
}

static enum blocked_memory memory_of(const char *option)
{
	for (int i = 0; i < BLOCKED_MEMORIES; i++)
		if (!strcmp(option, memory_option[i]))
			return i;
	odp_die(0, "no memory '%s'", option);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "hold"))
		hold(memory_of(argv[2]));
	else if (argc == 2 || (argc == 3 && !strcmp(argv[2], "few")))
		trials(memory_of(argv[1]), argc == 3);
	else
		odp_die(0, "usage: rxe_teardown MEMORY [few] | hold MEMORY");
	return ODP_OK;
}
