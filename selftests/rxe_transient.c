// SPDX-License-Identifier: GPL-2.0
/*
 * Faults that fail for a while: the work request waits, the pair survives, every
 * byte is right.
 *
 * rxe_transient storm protect|fork|drop MILLISECONDS [chunk]
 *     the pages are invalidated all the time, while RDMA goes on; a line for
 *     each kind of transfer. drop: MADV_DONTNEED, after which zeros are right
 * rxe_transient late [chunk]
 *     a page comes LATE_S after the fault, which is longer than the ACK timeout;
 *     a line for each kind of transfer, and for prefetches
 *
 * chunk: only messages of one packet at a page's start
 */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/cases.h"
#include "lib/odp.h"
#include "lib/qp.h"
#include "lib/uffd.h"

#define PAGES	8
#define LEN	(PAGES * ODP_PAGE)
#define LATE_S	2.0
#define LATE_ACK	18	/* an ACK timeout of 1.1 s */
#define BOUND_S	30	/* of a transfer whose page comes late */

enum operation { WRITE, READ, SEND, SRQ, ATOMIC, GATHER, LAND, KINDS };

static const char *const kind_name[KINDS] = {
	"RDMA WRITE", "RDMA READ", "SEND", "SEND to an SRQ", "FETCH_ADD",
	"RDMA WRITE from ODP memory", "RDMA READ into ODP memory",
};

struct test {
	struct odp device, o;
	struct ibv_srq *srq;
	unsigned char *addr;	/* ODP memory */
	struct ibv_mr *mr, *pinned;
	size_t offset, len;	/* of the message, in the ODP memory */
	bool zeros;		/* words that are zero are right, too */
	uint64_t added;
};

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* --- one transfer, verified ------------------------------------------------ */

static void open_test(struct test *t, enum operation kind, bool chunk,
		      unsigned int ack_timeout)
{
	struct qp_options options = { .type = IBV_QPT_RC, .sges = 1 };
	const int access = ODP_RW | IBV_ACCESS_REMOTE_ATOMIC;

	*t = (struct test){ .device.ack_timeout = ack_timeout };
	odp_open(&t->device);
	if (kind == SRQ) {
		struct ibv_srq_init_attr init = {
			.attr = { .max_wr = ODP_DEPTH, .max_sge = 1 },
		};

		t->srq = ibv_create_srq(t->device.pd, &init);
		if (!t->srq)
			odp_die(errno, "ibv_create_srq");
		options.srq = t->srq;
	}
	qp_open(&t->o, &t->device, options);
	t->addr = odp_map(LEN);
	t->mr = odp_reg(&t->o, t->addr, LEN, access | IBV_ACCESS_ON_DEMAND);
	t->pinned = odp_reg(&t->o, odp_map(LEN), LEN, access);
	t->offset = chunk ? ODP_PAGE : ODP_PAGE + 72;
	t->len = chunk ? t->o.chunk : 3 * ODP_PAGE;
}

static void close_test(struct test *t)
{
	ibv_dereg_mr(t->mr);
	ibv_dereg_mr(t->pinned);
	qp_close(&t->o);
	if (t->srq)
		ibv_destroy_srq(t->srq);
	odp_close(&t->device);
}

static enum ibv_wc_status send_message(struct test *t)
{
	struct ibv_sge to = { odp_at(t->mr, t->offset).addr, t->len, t->mr->lkey };
	struct ibv_sge from = { odp_at(t->pinned, 0).addr, t->len, t->pinned->lkey };
	struct ibv_recv_wr receive = { .sg_list = &to, .num_sge = 1 }, *none;
	struct ibv_send_wr send = { .sg_list = &from, .num_sge = 1,
				    .opcode = IBV_WR_SEND,
				    .send_flags = IBV_SEND_SIGNALED };
	enum ibv_wc_status first, second;

	if (t->srq ? ibv_post_srq_recv(t->srq, &receive, &none) :
		     ibv_post_recv(t->o.peer, &receive, &none))
		odp_die(0, "ibv_post_recv");
	odp_post(&t->o, &send);
	first = odp_wait_wc(&t->o).status;
	second = odp_wait_wc(&t->o).status;
	return first ?: second;
}

static enum ibv_wc_status transfer(struct test *t, enum operation kind)
{
	struct odp_side here = odp_at(t->pinned, 0);
	struct odp_side there = odp_at(t->mr, t->offset);

	switch (kind) {
	case WRITE:
		return odp_rdma(&t->o, IBV_WR_RDMA_WRITE, here, there, t->len);
	case READ:
		return odp_rdma(&t->o, IBV_WR_RDMA_READ, here, there, t->len);
	case ATOMIC:
		return qp_atomic(&t->o, IBV_WR_ATOMIC_FETCH_AND_ADD, here, there,
				 0, 1);
	case GATHER:
		return odp_rdma(&t->o, IBV_WR_RDMA_WRITE, there, here, t->len);
	case LAND:
		return odp_rdma(&t->o, IBV_WR_RDMA_READ, there, here, t->len);
	default:
		return send_message(t);
	}
}

/* The ODP memory is the source of these, and the target of the others. */
static bool from_odp(enum operation kind)
{
	return kind == READ || kind == GATHER;
}

static bool right(struct test *t, const unsigned char *seen, uint64_t stamp)
{
	const uint64_t *got = (const uint64_t *)seen;
	uint64_t want[3 * ODP_PAGE / sizeof(uint64_t)];

	odp_stamp(want, t->len, 0, stamp);
	for (size_t i = 0; i < t->len / sizeof(*want); i++)
		if (got[i] != want[i] && !(t->zeros && !got[i]))
			return false;
	return true;
}

static bool right_sum(struct test *t)
{
	const uint64_t *before = t->pinned->addr;

	return t->zeros ? *before <= t->added : *before == t->added;
}

/*
 * Until madvise() returns, processors may go on to read a page that it drops: it
 * flushes their TLBs last, after its notifiers, when the pair may have a new page
 * already. So nobody looks at the memory while an invalidation is under way.
 */
static struct {
	struct test *t;
	char how;
	atomic_bool stop, looking;
	atomic_ulong count;
	pthread_mutex_t under_way;
} storm = { .under_way = PTHREAD_MUTEX_INITIALIZER };

static bool looks_right(struct test *t, enum operation kind, uint64_t stamp)
{
	const unsigned char *seen = from_odp(kind) ? t->pinned->addr :
						     t->addr + t->offset;
	bool is_right;

	atomic_store(&storm.looking, true);
	pthread_mutex_lock(&storm.under_way);
	is_right = kind == ATOMIC ? right_sum(t) : right(t, seen, stamp);
	pthread_mutex_unlock(&storm.under_way);
	atomic_store(&storm.looking, false);
	return is_right;
}

/* NULL, or what went wrong. The source was stamped by the caller. */
static const char *checked_transfer(struct test *t, enum operation kind, uint64_t stamp)
{
	enum ibv_wc_status status = transfer(t, kind);

	if (status)
		return ibv_wc_status_str(status);
	if (!looks_right(t, kind, stamp))
		return "wrong data";
	t->added++;
	return NULL;
}

static const char *not_ready(struct test *t)
{
	struct ibv_qp *const qps[] = { t->o.qp, t->o.peer };

	for (int i = 0; i < 2; i++) {
		struct ibv_qp_init_attr init;
		struct ibv_qp_attr attr;

		if (ibv_query_qp(qps[i], &attr, IBV_QP_STATE, &init) ||
		    attr.qp_state != IBV_QPS_RTS)
			return "a queue pair is not in RTS at the end";
	}
	return NULL;
}

/* --- a storm of invalidations ---------------------------------------------- */

static void invalidate(unsigned char *page)
{
	const int prot = PROT_READ | PROT_WRITE;

	switch (storm.how) {
	case 'p':
		if (mprotect(page, 2 * ODP_PAGE, prot | PROT_EXEC) ||
		    mprotect(page, 2 * ODP_PAGE, prot))
			odp_die(errno, "mprotect");
		break;
	case 'f':
		odp_share_with_child();
		break;
	default:
		if (madvise(page, 2 * ODP_PAGE, MADV_DONTNEED))
			odp_die(errno, "MADV_DONTNEED");
	}
}

static void *invalidate_all_the_time(void *unused)
{
	unsigned short rnd[3] = { 1, 2, 3 };

	(void)unused;
	while (!atomic_load(&storm.stop)) {
		unsigned char *page = storm.t->addr +
				      odp_random(rnd, PAGES - 1) * ODP_PAGE;

		/* The mutex alone would be taken again before who looks wakes up */
		while (atomic_load(&storm.looking))
			sched_yield();
		pthread_mutex_lock(&storm.under_way);
		invalidate(page);
		pthread_mutex_unlock(&storm.under_way);
		atomic_fetch_add(&storm.count, 1);
	}
	return NULL;
}

static void storm_case(enum operation kind, const char *how, double length, bool chunk)
{
	unsigned long stamp = 0;
	const char *wrong = NULL;
	char what[80], text[200];
	double end;
	pthread_t thread;
	struct test t;

	open_test(&t, kind, chunk, 0);
	t.zeros = *how == 'd';
	storm.t = &t;
	storm.how = *how;
	storm.stop = false;
	storm.count = 0;
	if (pthread_create(&thread, NULL, invalidate_all_the_time, NULL))
		odp_die(0, "pthread_create");
	for (end = seconds() + length; !wrong && seconds() < end; ) {
		stamp++;
		odp_stamp(from_odp(kind) ? t.addr + t.offset : t.pinned->addr,
			  t.len, 0, stamp);
		if (kind == ATOMIC && stamp == 1)
			memset(t.addr, 0, LEN);
		wrong = checked_transfer(&t, kind, stamp);
	}
	storm.stop = true;
	pthread_join(thread, NULL);
	if (!wrong)
		wrong = not_ready(&t);
	snprintf(what, sizeof(what), "%s amid %s", kind_name[kind], how);
	snprintf(text, sizeof(text), "%s in %lu transfers and %lu invalidations",
		 wrong ?: "right", stamp, atomic_load(&storm.count));
	result_is(!wrong && storm.count, what, text);
	close_test(&t);
}

/* --- pages that come late -------------------------------------------------- */

struct late {
	int fd;
	unsigned char *addr, *image;
};

/* Serves a page: ours have the delay behind them, or none. */
static void serve(struct late *l, size_t page)
{
	uffd_serve(l->fd, l->addr + page * ODP_PAGE, l->image + page * ODP_PAGE);
}

static void *serve_late(void *arg)
{
	struct late *l = arg;
	unsigned char *page;

	while ((page = uffd_asked(l->fd, -1))) {
		usleep(LATE_S * 1e6);
		serve(l, (page - l->addr) / ODP_PAGE);
	}
	return NULL;
}

static void open_late(struct late *l, unsigned char *addr)
{
	l->addr = addr;
	l->image = odp_map(LEN);
	l->fd = uffd_open();
	uffd_watch(l->fd, addr, LEN);
}

static void late_case(enum operation kind, bool chunk)
{
	const char *wrong;
	pthread_t thread;
	char what[100], text[100];
	struct late l;
	struct test t;
	double start;
	size_t slow;

	open_test(&t, kind, chunk, LATE_ACK);
	open_late(&l, t.addr);
	odp_stamp(from_odp(kind) ? l.image + t.offset : t.pinned->addr, t.len,
		  0, 1);
	/* A page in the middle of the message, if it has one */
	slow = t.offset / ODP_PAGE + (chunk || kind == ATOMIC ? 0 : 1);
	for (size_t page = 0; page < PAGES; page++)
		if (page != slow)
			serve(&l, page);
	if (pthread_create(&thread, NULL, serve_late, &l))
		odp_die(0, "pthread_create");

	start = seconds();
	wrong = checked_transfer(&t, kind, 1);
	start = seconds() - start;
	if (!wrong && kind == ATOMIC &&
	    *(uint64_t *)(t.addr + t.offset) != 1)
		wrong = "added more than once";
	if (!wrong)
		wrong = not_ready(&t);
	snprintf(what, sizeof(what), "%s, a page comes late", kind_name[kind]);
	snprintf(text, sizeof(text), "%s, %.1f s", wrong ?: "right", start);
	result_is(!wrong && start >= LATE_S && start < BOUND_S, what, text);
}

/* Who waits for a page that never comes can be killed. */
static void killed_case(bool chunk)
{
	char text[60];
	int ready[2];
	double start;
	pid_t pid;
	char c;

	if (pipe(ready))
		odp_die(errno, "pipe");
	pid = fork();
	if (!pid) {
		struct late l;
		struct test t;

		open_test(&t, WRITE, chunk, 0);
		open_late(&l, t.addr);
		if (write(ready[1], "r", 1) != 1)
			_exit(ODP_ERROR);
		odp_prefetch(&t.o, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, t.mr, 0,
			     LEN);
		_exit(ODP_DEFECT);
	}
	if (read(ready[0], &c, 1) != 1)
		odp_die(0, "the child did not start");
	usleep(500000);
	start = seconds();
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	start = seconds() - start;
	snprintf(text, sizeof(text), "%.1f s", start);
	result_is(start < 5, "a prefetch that waits for a page is killed", text);
}

static void nothing(int sig)
{
	(void)sig;
}

/* Signals that do not kill do not end a prefetch. */
static void signalled_case(bool chunk)
{
	const struct itimerval fast = { { 0, 1000 }, { 0, 1000 } }, off = {};
	int err = 0, times;
	struct test t;

	open_test(&t, WRITE, chunk, 0);
	signal(SIGALRM, nothing);
	setitimer(ITIMER_REAL, &fast, NULL);
	for (times = 0; !err && times < 300; times++) {
		err = odp_prefetch(&t.o, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE,
				   t.mr, 0, LEN);
		madvise(t.addr, LEN, MADV_DONTNEED);
	}
	setitimer(ITIMER_REAL, &off, NULL);
	result_errno("300 prefetches amid a thousand signals a second", err, WANT(0));
	close_test(&t);
}

/* All kinds at the same time, each in its own process. */
static void late_cases(bool chunk)
{
	int status, failed = 0;

	for (int kind = 0; kind < KINDS; kind++) {
		pid_t pid = fork();

		if (pid < 0)
			odp_die(errno, "fork");
		if (!pid) {
			late_case(kind, chunk);
			/* exit would wait for who serves the pages */
			_exit(ODP_OK);
		}
	}
	while (wait(&status) > 0)
		failed |= status;
	if (failed)
		odp_die(0, "a child failed");
	killed_case(chunk);
	signalled_case(chunk);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	bool chunk = !strcmp(argv[argc - 1], "chunk");

	if (!strcmp(what, "storm") && argc > 3) {
		for (int kind = 0; kind < KINDS; kind++)
			storm_case(kind, argv[2], atoi(argv[3]) / 1e3, chunk);
	} else if (!strcmp(what, "late")) {
		late_cases(chunk);
	} else {
		odp_die(0, "usage: rxe_transient storm HOW MS [chunk] | late [chunk]");
	}
	return ODP_OK;
}
