// SPDX-License-Identifier: GPL-2.0
/*
 * One process blocks many queue pairs and prefetches on pages that nobody serves, and
 * another one's traffic is measured, alone and beside it.
 *
 * rxe_crowd QPS PREFETCHES END   cases. END is how the crowd ends:
 *                                serve   the pages are served, all completes
 *                                kill    by SIGKILL
 *                                keep    by SIGKILL, and the faults last longer than it
 * rxe_crowd waits PREFETCHES     exit status 1 if another process's WRITE waits for them
 */

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cases.h"
#include "lib/crowd.h"
#include "lib/odp.h"
#include "lib/patience.h"
#include "lib/rdma.h"

#define ENDS_S		2.0	/* for who is killed */
#define STUCK_S		5	/* without a completion */
#define SERVED_S	60
#define LONG_S		30
#define MADE_S		300	/* to make a crowd */
#define MESSAGE		(64UL << 10)
#define SPAN		(16 * MESSAGE)
#define SLICES		4
#define MORE_SLICES	12
#define SLICE_S		0.5
#define SLOWDOWN	2

static unsigned long slow;	/* $ODP_SLOW */

/* --- another process's traffic -------------------------------------------------------------- */

enum traffic_kind { PINNED, ODP, FAULTING, KINDS };

static const char *const kind_name[] = { "pinned", "ODP", "ODP with page faults" };

struct traffic {
	struct odp o;
	struct ibv_mr *buffer, *pinned, *odp;
	uint64_t stamp;
	bool stuck, wrong;
};

static void open_traffic(struct traffic *t)
{
	odp_open(&t->o);
	t->buffer = odp_reg(&t->o, odp_map(MESSAGE), MESSAGE, ODP_RW);
	t->pinned = odp_reg(&t->o, odp_map(SPAN), SPAN, ODP_RW);
	t->odp = odp_reg(&t->o, odp_map(SPAN), SPAN, ODP_RW | IBV_ACCESS_ON_DEMAND);
}

static struct ibv_mr *remote_of(struct traffic *t, enum traffic_kind kind)
{
	return kind == PINNED ? t->pinned : t->odp;
}

/* Seconds; where it is not done in time, t->stuck. */
static double transfer(struct traffic *t, enum ibv_wr_opcode op, struct ibv_mr *mr, size_t offset)
{
	const double start = patience_seconds();
	struct ibv_sge sge = { (uintptr_t)t->buffer->addr, MESSAGE, t->buffer->lkey };
	struct ibv_send_wr wr = {
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = op,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = { (uintptr_t)mr->addr + offset, mr->rkey },
	};
	struct ibv_wc wc = {};
	int n;

	odp_post(&t->o, &wr);
	while (!(n = ibv_poll_cq(t->o.cq, 1, &wc))) {
		sched_yield();
		if (patience_seconds() > start + STUCK_S * slow) {
			t->stuck = true;
			return 0;
		}
	}
	if (n < 0 || wc.status)
		t->wrong = true;
	return patience_seconds() - start;
}

/*
 * WRITEs, READs and compares: MiB/s of the RDMA, 0 if it is stuck. The best of some slices,
 * and of some more if it is not enough: the machine may have other work.
 */
static double speed(struct traffic *t, enum traffic_kind kind, double enough)
{
	struct ibv_mr *mr = remote_of(t, kind);
	double best = 0;

	for (int i = 0; i < SLICES || (i < MORE_SLICES && best < enough); i++) {
		double took = 0, bytes = 0, end = patience_seconds() + SLICE_S * slow;

		for (size_t at = 0; patience_seconds() < end && !t->stuck; at += MESSAGE) {
			at %= SPAN;
			if (kind == FAULTING && madvise(mr->addr + at, MESSAGE, MADV_DONTNEED))
				odp_die(errno, "MADV_DONTNEED");
			odp_stamp(t->buffer->addr, MESSAGE, at, ++t->stamp);
			took += transfer(t, IBV_WR_RDMA_WRITE, mr, at);
			memset(t->buffer->addr, 0, MESSAGE);
			took += transfer(t, IBV_WR_RDMA_READ, mr, at);
			bytes += 2 * MESSAGE;
			if (!t->stuck && !odp_stamped(t->buffer->addr, MESSAGE, at, t->stamp))
				t->wrong = true;
		}
		if (t->stuck)
			return 0;
		if (bytes / took / (1 << 20) > best)
			best = bytes / took / (1 << 20);
	}
	return best;
}

static void speeds(struct traffic *t, double speed_of[KINDS], const double alone[KINDS],
		   const char *when)
{
	for (enum traffic_kind kind = 0; kind < KINDS; kind++) {
		speed_of[kind] = t->stuck ? 0 : speed(t, kind, alone ? alone[kind] / SLOWDOWN : 0);
		printf("figure %s, %s, MiB/s: %.1f\n", kind_name[kind], when, speed_of[kind]);
	}
	fflush(stdout);
}

/* --- the cases -------------------------------------------------------------------------------- */

static void compare(struct traffic *t, const double alone[KINDS], const double beside[KINDS])
{
	char what[80], text[80];

	for (enum traffic_kind kind = 0; kind < KINDS; kind++) {
		snprintf(what, sizeof(what), "another process beside them: %s", kind_name[kind]);
		if (beside[kind])
			snprintf(text, sizeof(text), "%.2f of its speed alone",
				 beside[kind] / alone[kind]);
		else
			snprintf(text, sizeof(text), "not done in %lu s", STUCK_S * slow);
		result_is(beside[kind] * SLOWDOWN >= alone[kind], what, text);
	}
	result_is(!t->wrong, "what it has written and read", t->wrong ? "wrong" : "right");
}

static void is_blocked(struct crowd *c, pid_t pid)
{
	const double start = patience_seconds();
	const bool settled = crowd_becomes(&c->settled, pid, MADE_S * slow);
	char text[160];

	snprintf(text, sizeof(text),
		 "%u queue pairs, %u completed, %u failed, %.1f s, %u prefetches of %u, %u refused",
		 c->made, c->completed, c->failed, patience_seconds() - start,
		 c->advised, c->prefetches, c->refused);
	result_is(settled && !c->refused && !c->completed && !c->failed, "all of the crowd waits",
		  text);
}

static void is_served(struct crowd *c, pid_t pid)
{
	const double start = patience_seconds();
	bool served;
	char text[160];

	c->serve = true;
	served = crowd_becomes(&c->served, pid, SERVED_S * slow);
	snprintf(text, sizeof(text), "%u queue pairs, %u prefetches, %u failed, %.1f s",
		 c->completed, c->advised, c->failed, patience_seconds() - start);
	result_is(served && !c->failed && !c->refused && c->advised == c->prefetches,
		  "all completes when the pages are served", text);
}

/* Seconds, or INFINITY: until a process that is killed now is gone, */
static double killed(pid_t pid)
{
	const double start = patience_seconds();

	kill(pid, SIGKILL);
	return patience_gone(pid, LONG_S * slow) ? patience_seconds() - start : INFINITY;
}

/* and until so much is left of what there was on the device. */
static double objects_go(const struct rdma_objects *before)
{
	const double start = patience_seconds();
	struct rdma_objects now;
	char text[160];

	if (rdma_objects_become(before, LONG_S * slow, &now))
		return patience_seconds() - start;
	rdma_objects_print(&now, text, sizeof(text));
	printf("still there: %s\n", text);
	return INFINITY;
}

/* Thousands of queue pairs take their time to go, blocked or not. */
static double idle_end(unsigned int qps, const struct rdma_objects *before)
{
	struct crowd *c;
	pid_t pid = crowd_fork(&c, qps, 0, true);
	double took;

	if (!crowd_becomes(&c->settled, pid, MADE_S * slow))
		odp_die(0, "a crowd that does nothing is not ready");
	took = killed(pid);
	took += objects_go(before);
	printf("figure %u idle queue pairs of who is killed, s: %.2f\n", qps, took);
	return took;
}

static void in_time(double took, double limit, const char *what)
{
	char text[60];

	snprintf(text, sizeof(text), "%.2f s of %.2f", took, limit);
	result_is(took <= limit, what, text);
}

static void cases(unsigned int qps, unsigned int prefetches, const char *end)
{
	double alone[KINDS], beside[KINDS], limit, took;
	const bool keep = !strcmp(end, "keep");
	struct rdma_objects before;
	struct traffic t = {};
	struct crowd *c;
	int kept = -1;
	pid_t pid;

	open_traffic(&t);
	speeds(&t, alone, NULL, "alone");
	before = rdma_objects();
	limit = idle_end(qps, &before) + ENDS_S * slow;
	pid = crowd_fork(&c, qps, prefetches, false);
	is_blocked(c, pid);
	speeds(&t, beside, alone, "beside the crowd");
	compare(&t, alone, beside);
	if (!strcmp(end, "serve"))
		is_served(c, pid);
	if (keep)
		kept = syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, pid, 0), c->uffd, 0);
	if (keep && kept < 0)
		odp_die(errno, "pidfd_getfd");
	took = killed(pid);
	in_time(took, limit, "who is killed is gone");
	if (keep) {
		speeds(&t, beside, alone, "beside faults that last longer");
		result_is(beside[PINNED] * SLOWDOWN >= alone[PINNED] && !t.wrong,
			  "another process beside them", beside[PINNED] ? "goes on" : "stuck");
		close(kept);
		took = 0;
	}
	took += objects_go(&before);
	in_time(took, limit, keep ? "when they end, so is what he had of the device" :
			     "so is what he had of the device");
	printf("figure %u queue pairs of who is killed, s: %.2f\n", qps, took);
}

/* Whether one that has nothing to do with them waits for prefetches. They are served then. */
static int waits(unsigned int prefetches)
{
	struct traffic t = {};
	struct ibv_wc wc;
	struct crowd *c;
	double took;
	pid_t pid;

	open_traffic(&t);
	pid = crowd_fork(&c, 0, prefetches, false);
	crowd_becomes(&c->settled, pid, MADE_S * slow);
	printf("%u prefetches of %u, %u refused\n", c->advised, prefetches, c->refused);
	took = transfer(&t, IBV_WR_RDMA_WRITE, t.pinned, 0);
	if (t.stuck)
		printf("a WRITE between pinned regions is not done in %lu s\n", STUCK_S * slow);
	else
		printf("a WRITE between pinned regions is done in %.3f s\n", took);
	c->serve = true;
	if (!crowd_becomes(&c->served, pid, SERVED_S * slow))
		odp_die(0, "not all ends when the pages are served");
	if (t.stuck) {
		wc = odp_wait_wc(&t.o);
		printf("it is done then: %s\n", ibv_wc_status_str(wc.status));
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return t.stuck ? ODP_DEFECT : ODP_OK;
}

int main(int argc, char **argv)
{
	slow = odp_env("ODP_SLOW", 1);
	if (argc == 3 && !strcmp(argv[1], "waits"))
		return waits(atoi(argv[2]));
	if (argc != 4)
		odp_die(0, "usage: %s QPS PREFETCHES serve|kill|keep | waits PREFETCHES", argv[0]);
	cases(atoi(argv[1]), atoi(argv[2]), argv[3]);
	return ODP_OK;
}
