// SPDX-License-Identifier: GPL-2.0
/* Operations that wait for a page which nobody serves, see blocked.h */

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "blocked.h"
#include "fuse.h"
#include "held.h"
#include "uffd.h"

const char *const blocked_memory_name[] = {
	[BLOCKED_UFFD] = "userfaultfd",
	[BLOCKED_FUSE] = "FUSE",
	[BLOCKED_FUSE_SHARED] = "FUSE, MAP_SHARED",
	[BLOCKED_FUSE_RANDOM] = "FUSE, MADV_RANDOM",
};

const char *const blocked_by_name[] = {
	[BLOCKED_WRITE] = "RDMA WRITE",
	[BLOCKED_READ] = "RDMA READ",
	[BLOCKED_RECEIVE] = "receive",
	[BLOCKED_GATHER] = "gather",
	[BLOCKED_SCATTER] = "scatter",
	[BLOCKED_PREFETCH] = "prefetch",
	[BLOCKED_PREFETCH_LATER] = "asynchronous prefetch",
};

static void map(struct blocked *b)
{
	const int how = b->memory == BLOCKED_FUSE_SHARED ? MAP_SHARED : MAP_PRIVATE;

	if (b->memory == BLOCKED_UFFD) {
		b->fd = uffd_open();
		b->addr = odp_map(BLOCKED_LEN);
		uffd_watch(b->fd, b->addr, BLOCKED_LEN);
		return;
	}
	b->fd = fuse_open();
	b->addr = mmap(NULL, BLOCKED_LEN, PROT_READ | PROT_WRITE, how, b->fd, 0);
	if (b->addr == MAP_FAILED)
		odp_die(errno, "mmap of a file of FUSE");
	if (b->memory == BLOCKED_FUSE_RANDOM && madvise(b->addr, BLOCKED_LEN, MADV_RANDOM))
		odp_die(errno, "MADV_RANDOM");
}

static void post(struct blocked *b, enum ibv_wr_opcode op, struct ibv_mr *here,
		 struct ibv_mr *there)
{
	struct ibv_sge sge = { (uintptr_t)here->addr, b->o.chunk, here->lkey };
	struct ibv_send_wr wr = {
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = op,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = { (uintptr_t)there->addr, there->rkey },
	};

	odp_post(&b->o, &wr);
}

static void post_receive(struct blocked *b)
{
	struct ibv_sge sge = { (uintptr_t)b->addr, b->o.chunk, b->mr->lkey };
	struct ibv_recv_wr wr = { .sg_list = &sge, .num_sge = 1 }, *bad;
	int err = ibv_post_recv(b->o.peer, &wr, &bad);

	if (err)
		odp_die(err, "ibv_post_recv");
}

static void *prefetch(void *arg)
{
	struct blocked *b = arg;

	odp_prefetch(&b->o, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, b->mr, 0, ODP_PAGE);
	return NULL;
}

static void prefetch_later(struct blocked *b)
{
	struct ibv_sge sge = { (uintptr_t)b->addr, ODP_PAGE, b->mr->lkey };
	int err = ibv_advise_mr(b->o.pd, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, 0, &sge, 1);

	if (err)
		odp_die(err, "ibv_advise_mr");
}

static void operate(struct blocked *b, enum blocked_by by)
{
	b->qp = b->o.peer;
	switch (by) {
	case BLOCKED_WRITE:
		post(b, IBV_WR_RDMA_WRITE, b->pinned, b->mr);
		break;
	case BLOCKED_READ:
		post(b, IBV_WR_RDMA_READ, b->pinned, b->mr);
		break;
	case BLOCKED_RECEIVE:
		post_receive(b);
		post(b, IBV_WR_SEND, b->pinned, b->pinned);
		break;
	case BLOCKED_GATHER:
		b->qp = b->o.qp;
		post(b, IBV_WR_RDMA_WRITE, b->mr, b->pinned);
		break;
	case BLOCKED_SCATTER:
		b->qp = b->o.qp;
		post(b, IBV_WR_RDMA_READ, b->mr, b->pinned);
		break;
	case BLOCKED_PREFETCH:
		if (pthread_create(&b->prefetcher, NULL, prefetch, b))
			odp_die(0, "pthread_create");
		break;
	default:
		prefetch_later(b);
	}
}

static void await_read(unsigned long before)
{
	for (int ms = 0; fuse_waiting() == before; ms += 10) {
		if (ms > HELD_SOON_S * 1000)
			odp_die(0, "there was no page fault");
		usleep(10000);
	}
}

void blocked_start(struct blocked *b, enum blocked_memory memory, enum blocked_by by)
{
	unsigned long before = 0;

	*b = (struct blocked){ .memory = memory };
	odp_open(&b->o);
	map(b);
	b->mr = odp_reg(&b->o, b->addr, BLOCKED_LEN, ODP_RW | IBV_ACCESS_ON_DEMAND);
	b->pinned = odp_reg(&b->o, odp_map(ODP_PAGE), ODP_PAGE, ODP_RW);
	if (memory != BLOCKED_UFFD)
		before = fuse_waiting();
	operate(b, by);
	if (memory != BLOCKED_UFFD)
		await_read(before);
	else if (!uffd_asked(b->fd, HELD_SOON_S * 1000))
		odp_die(0, "there was no page fault");
}

void blocked_serve(enum blocked_memory memory, int fd, const void *addr)
{
	if (memory == BLOCKED_UFFD)
		uffd_unwatch(fd, addr, BLOCKED_LEN);
	else
		fuse_serve();
	close(fd);
}
