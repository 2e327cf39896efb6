// SPDX-License-Identifier: GPL-2.0
/*
 * Page faults that nobody serves, in a process of their own, and who must not wait for them.
 *
 * rxe_ends_faults prefetches   cases: another process amid 2,200 prefetches
 * rxe_ends_faults reset        cases: a queue pair is reset amid a fault of its own
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/blocked.h"
#include "lib/cases.h"
#include "lib/child.h"
#include "lib/patience.h"
#include "lib/uffd.h"

#define END_S		90	/* that it ends in when the page is served */

/* --- prefetches ------------------------------------------------------------------------ */

#define PREFETCHES	2200	/* stock has a queue of 2,048 for all of rxe */
#define SPEED_S		0.5
#define UNABLE_S	5	/* after that a WRITE is taken not to come back */

static void prefetch_many(const void *argument)
{
	struct blocked b;

	(void)argument;
	blocked_start(&b, BLOCKED_UFFD, BLOCKED_PREFETCH_LATER);
	child_tell('f', b.fd);
	child_tell('a', (long)b.addr);
	for (int i = 0; i < PREFETCHES; i++) {
		struct ibv_sge sge = { (uintptr_t)b.addr, ODP_PAGE, b.mr->lkey };

		ibv_advise_mr(b.o.pd, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, 0, &sge, 1);
	}
	child_tell('d', 0);
}

/* RDMA WRITEs between pinned regions in a while, best of three; or none, if one hangs. */
static unsigned long speed(struct odp *o, struct ibv_mr *mr)
{
	struct ibv_sge sge = { (uintptr_t)mr->addr, 64, mr->lkey };
	unsigned long count, best = 0;
	struct ibv_wc wc;

	for (int i = 0; i < 3; i++) {
		const double start = patience_seconds();

		for (count = 0; patience_seconds() < start + SPEED_S; count++) {
			const double posted = patience_seconds();

			odp_post(o, &(struct ibv_send_wr){
				.sg_list = &sge,
				.num_sge = 1,
				.opcode = IBV_WR_RDMA_WRITE,
				.send_flags = IBV_SEND_SIGNALED,
				.wr.rdma = { sge.addr + ODP_PAGE, mr->rkey },
			});
			while (!ibv_poll_cq(o->cq, 1, &wc))
				if (patience_seconds() > posted + UNABLE_S)
					return 0;
			if (wc.status)
				odp_die(0, "WRITE: %s", ibv_wc_status_str(wc.status));
		}
		if (count > best)
			best = count;
	}
	return best;
}

static void prefetches(void)
{
	unsigned long alone, amid, after = 0;
	bool gone = false;
	struct odp o = {};
	struct ibv_mr *mr;
	struct child c;
	char text[100];
	void *addr;
	int fd;

	odp_open(&o);
	mr = odp_reg(&o, odp_map(2 * ODP_PAGE), 2 * ODP_PAGE, ODP_RW);
	alone = speed(&o, mr);
	c = child_start(prefetch_many, NULL);
	fd = child_fd(&c, child_must_tell(&c, 'f'));
	addr = (void *)child_must_tell(&c, 'a');
	/* Who wants more than he may have may have to wait */
	child_told(&c, 'd', NULL, 2 * child_limit());
	amid = speed(&o, mr);
	if (amid) {
		gone = child_dies(&c, child_limit());
		after = speed(&o, mr);
	}
	uffd_unwatch(fd, addr, BLOCKED_LEN);
	close(fd);
	if (c.pid && !child_dies(&c, END_S))
		odp_die(0, "who prefetches is not gone, not even when the page is served");
	snprintf(text, sizeof(text), "%lu WRITEs in %.1f s, %lu before, %lu after", amid, SPEED_S,
		 alone, after);
	/* The machine may have other work */
	result_is(amid && (amid >= alone / 2 || amid >= after / 2),
		  "another process, amid 2,200 prefetches", text);
	result_is(gone, "who has asked for them is killed", gone ? "gone" : "is not gone");
}

/* --- reset amid a fault ------------------------------------------------------------------ */

static void reset_blocked(const void *argument)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RESET };
	struct blocked b;

	(void)argument;
	blocked_start(&b, BLOCKED_UFFD, BLOCKED_WRITE);
	child_tell('f', b.fd);
	child_tell('a', (long)b.addr);
	child_tell('r', ibv_modify_qp(b.qp, &attr, IBV_QP_STATE));
}

/* Clock ticks that it has run in the kernel. */
static unsigned long kernel_ticks(pid_t pid)
{
	unsigned long ticks = 0;
	char path[40];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %lu",
			    &ticks) != 1)
		odp_die(errno, "%s", path);
	fclose(file);
	return ticks;
}

static void reset(void)
{
	struct child c = child_start(reset_blocked, NULL);
	const int fd = child_fd(&c, child_must_tell(&c, 'f'));
	void *addr = (void *)child_must_tell(&c, 'a');
	unsigned long ticks;
	long result = 0;
	bool ended, gone;
	char text[100];

	ended = child_told(&c, 'r', &result, child_limit());
	result_is(ended && !result, "ibv_modify_qp to RESET", ended ?
		  result ? strerrorname_np(result) : "ended" : "has not ended");
	ticks = kernel_ticks(c.pid);
	gone = child_dies(&c, child_limit());
	if (gone) {
		snprintf(text, sizeof(text), "gone");
	} else {
		ticks = kernel_ticks(c.pid) - ticks;
		snprintf(text, sizeof(text), "is not gone, has run for %.1f s in the kernel",
			 (double)ticks / sysconf(_SC_CLK_TCK));
	}
	result_is(gone, "who is in it is killed", text);
	uffd_unwatch(fd, addr, BLOCKED_LEN);
	close(fd);
	if (!gone && !child_gone(&c, END_S))
		odp_die(0, "is not gone, not even when the page is served");
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "prefetches"))
		prefetches();
	else if (!strcmp(what, "reset"))
		reset();
	else
		odp_die(0, "usage: rxe_ends_faults prefetches | reset");
	return ODP_OK;
}
