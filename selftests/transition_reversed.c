// SPDX-License-Identifier: GPL-2.0
/*
 * A page fault of an ODP region that lasts until it is told to end: its page is left
 * to userfaultfd. Each line of stdin is a step, the answer is a line on stdout: "ok",
 * or what went wrong.
 *
 *   task       a prefetch, by a thread of ours, faults     worker    an RDMA WRITE does,
 *   serve      the page comes, and all is right                      in a worker of rxe's
 */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/odp.h"
#include "lib/uffd.h"

#define WAIT_MS	30000	/* for the fault to come */

static struct odp o;
static unsigned char *page, *bounce;
static struct ibv_mr *mr, *bounce_mr;
static int uffd;
static uint64_t stamp;
static pthread_t thread;
static bool by_worker;
static int result;

static void leave_page_to_us(void)
{
	uffd = uffd_open();
	uffd_watch(uffd, page, ODP_PAGE);
}

/* Waits for as long as it takes, asleep: who runs is in nobody's way then. */
static enum ibv_wc_status write_patiently(void)
{
	struct ibv_sge sge = { (uintptr_t)bounce, o.chunk, bounce_mr->lkey };
	struct ibv_send_wr wr = {
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = IBV_WR_RDMA_WRITE,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = { (uintptr_t)page, mr->rkey },
	};
	struct ibv_wc wc;

	odp_post(&o, &wr);
	while (!ibv_poll_cq(o.cq, 1, &wc))
		usleep(10000);
	return wc.status;
}

static void *access_page(void *arg)
{
	(void)arg;
	if (by_worker)
		result = write_patiently();
	else
		result = odp_prefetch(&o, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, mr, 0,
				      ODP_PAGE);
	return NULL;
}

static const char *fault(bool worker)
{
	by_worker = worker;
	stamp++;
	if (madvise(page, ODP_PAGE, MADV_DONTNEED))
		odp_die(errno, "MADV_DONTNEED");
	odp_stamp(bounce, ODP_PAGE, 1, stamp);
	if (pthread_create(&thread, NULL, access_page, NULL))
		odp_die(0, "pthread_create");
	return uffd_asked(uffd, WAIT_MS) ? "ok" : "no page fault has come";
}

/* What was served, and written over it if it was a WRITE, is what both see. */
static const char *serve(void)
{
	static unsigned char served[ODP_PAGE] __attribute__((aligned(4096)));
	const uint64_t number = by_worker ? 1 : 2;
	int err;

	odp_stamp(served, ODP_PAGE, 2, stamp);
	err = uffd_serve(uffd, page, served);
	if (err)
		odp_die(err, "UFFDIO_COPY");
	pthread_join(thread, NULL);
	if (result) {
		printf("the access failed, with %d\n", result);
		return "failed";
	}
	if (!odp_stamped(page, o.chunk, number, stamp))
		return "the CPU sees wrong data";
	memset(bounce, 0, ODP_PAGE);
	if (odp_rdma(&o, IBV_WR_RDMA_READ, odp_at(bounce_mr, 0), odp_at(mr, 0), o.chunk) ||
	    !odp_stamped(bounce, o.chunk, number, stamp))
		return "RDMA READ sees wrong data";
	return "ok";
}

static const char *step(const char *line)
{
	if (!strcmp(line, "task\n"))
		return fault(false);
	if (!strcmp(line, "worker\n"))
		return fault(true);
	return !strcmp(line, "serve\n") ? serve() : "no such step";
}

int main(void)
{
	char line[64];

	odp_open(&o);
	page = odp_map(ODP_PAGE);
	bounce = odp_map(ODP_PAGE);
	leave_page_to_us();
	mr = odp_reg(&o, page, ODP_PAGE, ODP_RW | IBV_ACCESS_ON_DEMAND);
	bounce_mr = odp_reg(&o, bounce, ODP_PAGE, IBV_ACCESS_LOCAL_WRITE);
	while (fgets(line, sizeof(line), stdin)) {
		puts(step(line));
		fflush(stdout);
	}
	return ODP_OK;
}
