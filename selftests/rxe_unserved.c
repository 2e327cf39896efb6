// SPDX-License-Identifier: GPL-2.0
/*
 * A page fault that nobody serves: a page under userfaultfd. Who waits for it, and who
 * must not.
 *
 * rxe_unserved others [starts]   cases: who must go on meanwhile
 * rxe_unserved destroy           cases: who destroys what the fault holds up waits for it,
 *                                and the kernel log says so within a minute
 * rxe_unserved kill              cases: a process that is killed amid it goes; what the
 *                                fault has of it goes when that is served
 * rxe_unserved reap GROUP        cases: the OOM reaper takes the memory of one that the
 *                                fault keeps; GROUP: a cgroup with a limit
 * rxe_unserved hold write|prefetch|killed    prints "held", reads a line, serves it,
 *                                prints "served". killed: the process that has the fault
 *                                was killed
 * starts: only messages of one packet at a page's start
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/cases.h"
#include "lib/held.h"
#include "lib/odp.h"
#include "lib/patience.h"
#include "lib/qp.h"
#include "lib/uffd.h"

#define WAITS_S		2	/* after that it is taken to wait */
#define TOLD_S		75	/* the kernel tells once a minute */

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

/* --- who waits -------------------------------------------------------------------------------- */

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
	const char *told = "is still in use: a page fault is not served?";
	int log = patience_log(), again = patience_log();
	struct test t = {};
	pthread_t qp, mr;

	open_test(&t);
	pthread_create(&qp, NULL, destroy_qp, &t.held);
	pthread_create(&mr, NULL, deregister, &t.held);
	result_is(!patience_ends(qp, WAITS_S), "who destroys the queue pair waits", "it does");
	result_is(!patience_ends(mr, WAITS_S), "who deregisters the region waits", "it does");
	timed(&t, "another region meanwhile", other_region);
	timed(&t, "regions and queue pairs come and go meanwhile", verbs);
	timed(&t, "another process meanwhile", other_process);
	result_is(patience_logged(log, told, "qp", TOLD_S),
		  "the kernel log says that a queue pair waits", told);
	result_is(patience_logged(again, told, "mr", TOLD_S),
		  "the kernel log says that a region waits", told);
	held_serve(&t.held);
	result_is(patience_ends(qp, HELD_SOON_S), "the queue pair goes when the page is served",
		  "it does");
	result_is(patience_ends(mr, HELD_SOON_S), "so does the region", "it does");
	timed(&t, "another region afterwards", other_region);
}

/* --- who is killed ---------------------------------------------------------------------- */

enum order { FD_FIRST, DEVICE_FIRST };

/* A process with a fault that is not served; it eats memory, if it is told to. */
static pid_t start_held(enum order order, const char *group, int *keep)
{
	int ready[2], fd, status;
	pid_t pid;

	if (pipe(ready))
		odp_die(errno, "pipe");
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		odp_die(errno, "fork");
	if (!pid) {
		struct odp device = {};
		struct held h = {};

		if (group) {
			fd = open(group, O_WRONLY | O_CLOEXEC);
			if (fd < 0 || write(fd, "0", 1) != 1)
				odp_die(errno, "%s", group);
		}
		if (order == FD_FIRST)
			h.fd = uffd_open();
		odp_open(&device);
		if (order == DEVICE_FIRST)
			h.fd = uffd_open();
		held_open(&h, &device);
		held_write(&h);
		if (write(ready[1], &h.fd, sizeof(h.fd)) != sizeof(h.fd))
			_exit(ODP_ERROR);
		if (group)
			kill(getpid(), SIGSTOP);
		while (group)
			memset(odp_map(1 << 20), 1, 1 << 20);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &fd, sizeof(fd)) != sizeof(fd)) {
		waitpid(pid, &status, 0);
		odp_die(0, "the process with the fault did not start");
	}
	close(ready[0]);
	if (keep) {
		*keep = syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, pid, 0), fd, 0);
		if (*keep < 0)
			odp_die(errno, "pidfd_getfd");
	}
	return pid;
}

/* How many have opened the device. */
static unsigned long users(void)
{
	unsigned long count = 0;
	char line[300], *ctx;
	FILE *rdma;

	snprintf(line, sizeof(line), "rdma resource show %s", getenv("ODP_DEV") ?: "rxe0");
	rdma = popen(line, "r");
	if (!rdma || !fgets(line, sizeof(line), rdma))
		odp_die(errno, "rdma resource show");
	ctx = strstr(line, " ctx ");
	if (!ctx || sscanf(ctx, " ctx %lu", &count) != 1)
		odp_die(0, "rdma says: %s", line);
	pclose(rdma);
	return count;
}

static bool users_become(unsigned long count, double s)
{
	const double end = patience_seconds() + s;

	while (users() != count) {
		if (patience_seconds() > end)
			return false;
		usleep(100000);
	}
	return true;
}

/* The process is no more, but the fault has its memory, with what is mapped in it. */
static void objects_stay(unsigned long before, int keep)
{
	result_is(!users_become(before, WAITS_S),
		  "what it had of the device stays until the fault is served", "it does");
	close(keep);
	result_is(users_become(before, HELD_SOON_S), "then it goes", "it does");
}

static void killed(void)
{
	const unsigned long before = users();
	int keep;
	pid_t pid;

	pid = start_held(DEVICE_FIRST, NULL, NULL);
	kill(pid, SIGKILL);
	result_is(patience_gone(pid, HELD_SOON_S) && users_become(before, HELD_SOON_S),
		  "who is killed goes, with its userfaultfd", "it does");
	pid = start_held(FD_FIRST, NULL, NULL);
	kill(pid, SIGKILL);
	result_is(patience_gone(pid, HELD_SOON_S) && users_become(before, HELD_SOON_S),
		  "who is killed goes, with a userfaultfd older than its device", "it does");
	pid = start_held(DEVICE_FIRST, NULL, &keep);
	kill(pid, SIGKILL);
	result_is(patience_gone(pid, HELD_SOON_S),
		  "who is killed goes, if another process has its userfaultfd", "it does");
	objects_stay(before, keep);
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

/* Killed for want of memory, which the fault keeps: it comes back anyway. */
static void reap(const char *group)
{
	char procs[200], text[100];
	int log = patience_log(), keep;
	const unsigned long before_users = users();
	unsigned long before, after;
	pid_t pid;

	snprintf(procs, sizeof(procs), "%s/cgroup.procs", group);
	pid = start_held(DEVICE_FIRST, procs, &keep);
	waitpid(pid, NULL, WUNTRACED);
	before = bytes_of(group);
	kill(pid, SIGCONT);
	result_is(patience_logged(log, "oom_reaper: reaped process", "rxe_unserved", 30),
		  "the OOM reaper takes the memory that the fault keeps", "it says so");
	result_is(patience_gone(pid, HELD_SOON_S), "the process goes", "it does");
	after = bytes_of(group);
	snprintf(text, sizeof(text), "%lu KiB, %lu KiB before it wanted more", after >> 10,
		 before >> 10);
	result_is(after < before + (1 << 20), "its memory has come back", text);
	objects_stay(before_users, keep);
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
	pid_t pid = 0;
	struct held h = {};
	pthread_t thread;
	int keep = -1;

	if (!strcmp(how, "killed")) {
		pid = start_held(DEVICE_FIRST, NULL, &keep);
		kill(pid, SIGKILL);
		if (!patience_gone(pid, HELD_SOON_S))
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
	if (pid) {
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

	if (!strcmp(what, "others"))
		others(argc > 2);
	else if (!strcmp(what, "destroy"))
		destroy();
	else if (!strcmp(what, "kill"))
		killed();
	else if (!strcmp(what, "reap") && argc > 2)
		reap(argv[2]);
	else if (!strcmp(what, "hold") && argc > 2)
		held_until_told(argv[2]);
	else
		odp_die(0, "usage: %s others [starts] | destroy | kill | reap GROUP | hold HOW",
			argv[0]);
	return ODP_OK;
}
