// SPDX-License-Identifier: GPL-2.0
/*
 * A page fault that nobody serves: a page under userfaultfd. Who waits for it, and who
 * must not.
 *
 * rxe_unserved others [starts]   cases: who must go on meanwhile
 * rxe_unserved fair              cases: faults of one process do not wait for each other,
 *                                nor does what needs none
 * rxe_unserved destroy           cases: who destroys what the fault holds up does not wait
 * starts: only messages of one packet at a page's start
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cases.h"
#include "lib/child.h"
#include "lib/held.h"
#include "lib/odp.h"
#include "lib/patience.h"
#include "lib/qp.h"
#include "lib/uffd.h"

#define CROWD		100	/* queue pairs of a process that wait, each for its page */

static bool completes(struct held *h)
{
	struct ibv_wc wc;

	return ibv_poll_cq(h->o.cq, 1, &wc) > 0;
}

/* --- who must go on ------------------------------------------------------------------------- */

struct test {
	struct odp device, other;	/* another pair of the same process */
	struct held held;
	struct ibv_mr *mr, *pinned;	/* another region */
	bool starts;
	uint64_t stamp;
};

/* Writes, reads and compares some pages. */
static bool works(struct test *t, struct ibv_mr *mr, size_t offset)
{
	const size_t len = t->starts ? t->other.chunk : 2 * ODP_PAGE;
	unsigned char *page = t->pinned->addr;
	const struct odp_side there = odp_at(mr, offset);

	t->stamp++;
	odp_stamp(page, len, offset, t->stamp);
	if (odp_rdma(&t->other, IBV_WR_RDMA_WRITE, odp_at(t->pinned, 0), there, len))
		return false;
	memset(page, 0, len);
	return !odp_rdma(&t->other, IBV_WR_RDMA_READ, odp_at(t->pinned, 0), there, len) &&
	       odp_stamped(page, len, offset, t->stamp);
}

static bool other_region(struct test *t)
{
	return works(t, t->mr, 0);
}

static bool next_window(struct test *t)
{
	return works(t, t->mr, HELD_WINDOW);
}

static bool other_window(struct test *t)
{
	return works(t, t->held.mr, 0) && works(t, t->held.mr, 2 * HELD_WINDOW + 9 * ODP_PAGE);
}

static bool same_window(struct test *t)
{
	t->held.addr[HELD_WINDOW] = 1;
	return works(t, t->held.mr, HELD_WINDOW) &&
	       works(t, t->held.mr, HELD_WINDOW + 40 * ODP_PAGE) &&
	       works(t, t->held.mr, HELD + HELD_PAGES * ODP_PAGE);
}

static bool local_side(struct test *t)
{
	const struct odp_side here = odp_at(t->held.mr, HELD_WINDOW + 20 * ODP_PAGE);

	return !odp_rdma(&t->other, IBV_WR_RDMA_WRITE, here, odp_at(t->pinned, 0),
			 t->other.chunk) &&
	       !odp_rdma(&t->other, IBV_WR_RDMA_READ, here, odp_at(t->pinned, 0),
			 t->other.chunk);
}

static bool other_process(struct test *t)
{
	int status;
	pid_t pid;

	(void)t;
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		odp_die(errno, "fork");
	if (!pid) {
		struct test own = { .starts = true };

		odp_open(&own.other);
		own.mr = odp_reg(&own.other, odp_map(HELD_LEN), HELD_LEN,
				 ODP_RW | IBV_ACCESS_ON_DEMAND);
		own.pinned = odp_reg(&own.other, odp_map(HELD_LEN), HELD_LEN, ODP_RW);
		_exit(works(&own, own.mr, 0) ? ODP_OK : ODP_DEFECT);
	}
	return waitpid(pid, &status, 0) == pid && !status;
}

static bool invalidations(struct test *t)
{
	unsigned char *at[] = { t->held.addr, t->held.addr + HELD_WINDOW,
				t->held.addr + HELD + HELD_PAGES * ODP_PAGE };

	for (size_t i = 0; i < 3; i++) {
		if (!works(t, t->held.mr, at[i] - t->held.addr) ||
		    mprotect(at[i], ODP_PAGE, PROT_READ) ||
		    mprotect(at[i], ODP_PAGE, PROT_READ | PROT_WRITE) ||
		    madvise(at[i], ODP_PAGE, MADV_DONTNEED) ||
		    mmap(at[i], ODP_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE |
			 MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at[i] ||
		    *(uint64_t *)at[i])
			return false;
	}
	/* The very pages, too */
	return !mprotect(t->held.addr + HELD, HELD_PAGES * ODP_PAGE, PROT_READ) &&
	       !mprotect(t->held.addr + HELD, HELD_PAGES * ODP_PAGE, PROT_READ | PROT_WRITE) &&
	       !madvise(t->held.addr + HELD, HELD_PAGES * ODP_PAGE, MADV_DONTNEED);
}

static bool prefetches(struct test *t)
{
	return !odp_prefetch(&t->other, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, t->held.mr, 0,
			     HELD) &&
	       !odp_prefetch(&t->other, IBV_ADVISE_MR_ADVICE_PREFETCH_NO_FAULT, t->held.mr, 0,
			     HELD_LEN);
}

static bool verbs(struct test *t)
{
	const size_t len = 16 * ODP_PAGE;
	struct odp pair;

	for (int i = 0; i < 4; i++) {
		struct ibv_mr *mr = odp_reg(&t->device, odp_map(len), len,
					    ODP_RW | IBV_ACCESS_ON_DEMAND);

		qp_open(&pair, &t->device,
			(struct qp_options){ .type = IBV_QPT_RC, .sges = 1 });
		if (!works(t, mr, 0))
			return false;
		qp_close(&pair);
		ibv_dereg_mr(mr);
	}
	return true;
}

/* Prefetches that nobody waits for wait too, each in a worker. */
static bool many_held(struct test *t)
{
	for (size_t i = 0; i < HELD_PAGES; i++) {
		struct ibv_sge sge = { (uintptr_t)t->held.addr + HELD + i * ODP_PAGE, ODP_PAGE,
				       t->held.mr->lkey };

		if (ibv_advise_mr(t->other.pd, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, 0, &sge, 1))
			return false;
	}
	usleep(200000);
	return other_region(t) && other_window(t) && same_window(t);
}

static void timed(struct test *t, const char *what, bool (*works_on)(struct test *))
{
	const double start = patience_seconds();
	const bool good = works_on(t);
	const double took = patience_seconds() - start;
	char text[60];

	snprintf(text, sizeof(text), "%s, %.2f s", good ? "right" : "wrong", took);
	result_is(good && took < HELD_SOON_S, what, text);
}

/* An RDMA WRITE waits for a page when this returns. */
static void open_test(struct test *t)
{
	odp_open(&t->device);
	qp_open(&t->other, &t->device, (struct qp_options){ .type = IBV_QPT_RC, .sges = 1 });
	t->held.fd = uffd_open();
	held_open(&t->held, &t->device);
	t->mr = odp_reg(&t->other, odp_map(HELD_LEN), HELD_LEN, ODP_RW | IBV_ACCESS_ON_DEMAND);
	t->pinned = odp_reg(&t->other, odp_map(HELD_LEN), HELD_LEN, ODP_RW);
	held_write(&t->held);
}

static void others(bool starts)
{
	struct test t = { .starts = starts };

	open_test(&t);

	timed(&t, "another region", other_region);
	timed(&t, "another window of the region", other_window);
	timed(&t, "other pages of the window", same_window);
	timed(&t, "the region as the local side", local_side);
	timed(&t, "another process", other_process);
	timed(&t, "mprotect, MADV_DONTNEED, mmap", invalidations);
	if (!starts)
		timed(&t, "prefetches of other pages", prefetches);
	timed(&t, "regions and queue pairs come and go", verbs);
	timed(&t, "the same amid 64 prefetches that wait", many_held);
	result_is(!completes(&t.held), "its queue pair waits", "no completion");
	held_serve(&t.held);
	result_is(!odp_wait_wc(&t.held.o).status &&
		  odp_stamped(t.held.addr + HELD, t.held.o.chunk, 0, 1),
		  "it is served in the end", "written");
}

/* --- one process ----------------------------------------------------------------------------- */

static bool completes_soon(struct odp *o)
{
	const double end = patience_seconds() + HELD_SOON_S;
	struct ibv_wc wc;

	while (!ibv_poll_cq(o->cq, 1, &wc))
		if (patience_seconds() > end)
			return false;
	return !wc.status;
}

static void two_pairs(void)
{
	struct held first = {}, second = {};
	struct odp device = {};

	odp_open(&device);
	first.fd = uffd_open();
	held_open(&first, &device);
	second.fd = uffd_open();
	held_open(&second, &device);
	held_write(&first);
	held_write(&second);
	held_serve(&second);
	result_is(completes_soon(&second.o), "a queue pair whose page comes goes on, another waits",
		  "it does");
	result_is(!completes(&first), "that one still waits", "no completion");
	held_serve(&first);
	result_is(completes_soon(&first.o), "it goes on in the end, too", "it does");
}

/* The pages of addr are under userfaultfd: one for each pair. */
static void crowd(void)
{
	static struct odp pair[CROWD];
	struct test t = {};
	unsigned char *addr = odp_map(CROWD * ODP_PAGE);
	const int fd = uffd_open();
	struct ibv_mr *mr;
	unsigned int faults = 0, right = 0;
	char text[60];

	odp_open(&t.device);
	t.other = t.device;
	t.mr = odp_reg(&t.device, odp_map(HELD_LEN), HELD_LEN, ODP_RW | IBV_ACCESS_ON_DEMAND);
	t.pinned = odp_reg(&t.device, odp_map(HELD_LEN), HELD_LEN, ODP_RW);
	uffd_watch(fd, addr, CROWD * ODP_PAGE);
	mr = odp_reg(&t.device, addr, CROWD * ODP_PAGE, ODP_RW | IBV_ACCESS_ON_DEMAND);
	/* One window is known already, one only resident */
	memset(t.mr->addr, 1, 2 * HELD_WINDOW);
	works(&t, t.mr, 0);
	odp_stamp(t.pinned->addr, ODP_PAGE, 0, 7);
	for (int i = 0; i < CROWD; i++) {
		struct ibv_sge sge = { (uintptr_t)t.pinned->addr, t.device.chunk,
				       t.pinned->lkey };
		struct ibv_send_wr wr = {
			.sg_list = &sge,
			.num_sge = 1,
			.opcode = IBV_WR_RDMA_WRITE,
			.send_flags = IBV_SEND_SIGNALED,
			.wr.rdma = { (uintptr_t)addr + i * ODP_PAGE, mr->rkey },
		};

		qp_open(&pair[i], &t.device, (struct qp_options){ .type = IBV_QPT_RC, .sges = 1 });
		odp_post(&pair[i], &wr);
	}
	/* As many as the module has at a time */
	while (uffd_asked(fd, 500))
		faults++;
	snprintf(text, sizeof(text), "%u page faults", faults);
	result_is(faults, "100 queue pairs wait, each for a page of its own", text);
	timed(&t, "resident memory that is known, amid them", other_region);
	timed(&t, "resident memory that is not, amid them", next_window);
	uffd_unwatch(fd, addr, CROWD * ODP_PAGE);
	for (int i = 0; i < CROWD; i++)
		right += completes_soon(&pair[i]) &&
			 odp_stamped(addr + i * ODP_PAGE, t.device.chunk, 0, 7);
	snprintf(text, sizeof(text), "%u", right);
	result_is(right == CROWD, "all 100 are served in the end", text);
}

static void fair(void)
{
	two_pairs();
	crowd();
}

/* --- who destroys --------------------------------------------------------------------------- */

static void *destroy_qp(void *arg)
{
	struct held *h = arg;

	return (void *)(long)ibv_destroy_qp(h->o.peer);
}

static void *deregister(void *arg)
{
	struct held *h = arg;

	return (void *)(long)ibv_dereg_mr(h->mr);
}

static void destroy(void)
{
	struct test t = {};
	pthread_t qp, mr;

	open_test(&t);
	pthread_create(&qp, NULL, destroy_qp, &t.held);
	result_is(patience_ends(qp, child_limit()), "who destroys the queue pair does not wait",
		  "it is gone");
	pthread_create(&mr, NULL, deregister, &t.held);
	result_is(patience_ends(mr, child_limit()), "who deregisters the region does not wait",
		  "it is gone");
	timed(&t, "another region meanwhile", other_region);
	timed(&t, "regions and queue pairs come and go meanwhile", verbs);
	timed(&t, "another process meanwhile", other_process);
	held_serve(&t.held);
	timed(&t, "another region afterwards", other_region);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "others"))
		others(argc > 2);
	else if (!strcmp(what, "fair"))
		fair();
	else if (!strcmp(what, "destroy"))
		destroy();
	else
		odp_die(0, "usage: %s others [starts] | fair | destroy", argv[0]);
	return ODP_OK;
}
