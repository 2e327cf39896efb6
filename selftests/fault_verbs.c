// SPDX-License-Identifier: GPL-2.0
/*
 * Verbs under fail-nth: regions, prefetches, memory windows and what carries them.
 * Each allocation of a call fails once; then the call works, and the device moves
 * right bytes.
 *
 * fault_verbs NAME [N]
 */

#include <errno.h>
#include <rdma/ib_user_verbs.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/fail_nth.h"
#include "lib/odp.h"

#define WINDOW	(2UL << 20)	/* what the library cuts regions into */
#define PAGES	24UL		/* of them 20 in one window, the rest in the next */
#define BEFORE	20UL
#define LEN	(PAGES * ODP_PAGE)
#define ACCESS	(ODP_RW | IBV_ACCESS_MW_BIND)

static struct odp o;
static unsigned char *memory;
static struct ibv_mr *mr, *bounce;
static struct ibv_mw *mw;

/* --- memory and the device --- */

static unsigned char *reserve(size_t len, int flags)
{
	unsigned char *at = mmap(NULL, len + WINDOW, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags,
				 -1, 0);

	if (at == MAP_FAILED)
		odp_die(errno, "mmap of %zu bytes", len + WINDOW);
	return at + (-(uintptr_t)at & (WINDOW - 1));
}

/* Pages on both sides of the border between two windows. */
static void small_pages(void)
{
	memory = reserve(2 * WINDOW, 0) + WINDOW - BEFORE * ODP_PAGE;
	madvise(memory, LEN, MADV_NOHUGEPAGE);
}

static void open_all(void)
{
	odp_open(&o);
	bounce = odp_reg(&o, odp_map(LEN), LEN, IBV_ACCESS_LOCAL_WRITE);
	small_pages();
}

static void open_resident(void)
{
	open_all();
	memset(memory, 1, LEN);
}

static void open_registered(void)
{
	open_all();
	mr = odp_reg(&o, memory, LEN, ACCESS | IBV_ACCESS_ON_DEMAND);
}

static void open_mapped(void)
{
	int err;

	open_registered();
	err = odp_prefetch(&o, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, mr, 0, LEN);
	if (err)
		odp_die(err, "prefetch");
}

/* --- what is right --- */

static void stamp(unsigned char *at, uint64_t number)
{
	for (size_t i = 0; i < PAGES; i++)
		odp_stamp(at + i * ODP_PAGE, o.chunk, i, number);
}

static bool stamped(const unsigned char *at, uint64_t number)
{
	for (size_t i = 0; i < PAGES; i++)
		if (!odp_stamped(at + i * ODP_PAGE, o.chunk, i, number))
			return false;
	return true;
}

static bool move(enum ibv_wr_opcode op)
{
	enum ibv_wc_status status;

	status = odp_rdma_pages(&o, op, bounce, ODP_PAGE, mr, 0, PAGES, o.chunk);
	if (status)
		printf("RDMA: %s\n", ibv_wc_status_str(status));
	return !status;
}

/* WRITE and READ of every page, over pages that are there and that fault. */
static bool moves_data(void)
{
	stamp(bounce->addr, 1);
	if (!move(IBV_WR_RDMA_WRITE) || !stamped(memory, 1))
		return false;
	if (madvise(memory, BEFORE * ODP_PAGE, MADV_DONTNEED))
		odp_die(errno, "MADV_DONTNEED");
	stamp(memory, 2);
	memset(bounce->addr, 0, LEN);
	return move(IBV_WR_RDMA_READ) && stamped(bounce->addr, 2);
}

static bool is_registered_right(void)
{
	bool right = moves_data();

	return !ibv_dereg_mr(mr) && right;
}

/* --- regions --- */

static int reg(void *addr, size_t len, int access)
{
	mr = ibv_reg_mr(o.pd, addr, len, access | IBV_ACCESS_ON_DEMAND);
	return mr ? 0 : errno;
}

static int reg_explicit(void)
{
	return reg(memory, LEN, ACCESS);
}

static int reg_implicit(void)
{
	int err = reg(NULL, SIZE_MAX, ODP_RW);

	if (!err)
		mr->addr = memory;	/* what offsets are added to */
	return err;
}

static void open_implicit(void)
{
	int err;

	open_all();
	err = reg_implicit();
	if (err)
		odp_die(err, "an implicit region");
}

static void open_huge(void)
{
	open_all();
	memory = reserve(2 * WINDOW, MAP_HUGETLB);
}

static int reg_huge(void)
{
	return reg(memory, 2 * WINDOW, ODP_RW | IBV_ACCESS_HUGETLB);
}

static void open_huge_registered(void)
{
	int err;

	open_huge();
	err = reg_huge();
	if (err)
		odp_die(err, "a region of huge pages");
}

/* Huge pages are not given back in parts. */
static bool moves_huge_data(void)
{
	stamp(bounce->addr, 3);
	return move(IBV_WR_RDMA_WRITE) && stamped(memory, 3) && !ibv_dereg_mr(mr);
}

static int dereg(void)
{
	return ibv_dereg_mr(mr);
}

/* The device has done with the memory: another region of it works. */
static bool is_deregistered(void)
{
	return !reg_explicit() && is_registered_right();
}

static int rereg(void)
{
	return odp_rereg_mr(&o, &(struct ib_uverbs_rereg_mr){
		.mr_handle = mr->handle,
		.flags = IBV_REREG_MR_CHANGE_ACCESS,
		.access_flags = ACCESS | IBV_ACCESS_REMOTE_ATOMIC | IBV_ACCESS_ON_DEMAND,
	});
}

/* --- pages come and go --- */

static int prefetch(enum ibv_advise_mr_advice advice)
{
	return odp_prefetch(&o, advice, mr, 0, LEN);
}

static int prefetch_read(void)
{
	return prefetch(IBV_ADVISE_MR_ADVICE_PREFETCH);
}

static int prefetch_write(void)
{
	return prefetch(IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE);
}

static int prefetch_no_fault(void)
{
	return prefetch(IBV_ADVISE_MR_ADVICE_PREFETCH_NO_FAULT);
}

static void open_registered_resident(void)
{
	open_registered();
	memset(memory, 1, LEN);
}

/* What a worker does later is not under this fault. */
static int prefetch_later(void)
{
	struct ibv_sge sges[] = {
		{ (uintptr_t)mr->addr, LEN / 2, mr->lkey },
		{ (uintptr_t)mr->addr + LEN / 2, LEN / 2, mr->lkey },
	};

	return ibv_advise_mr(o.pd, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, 0, sges, 2);
}

static int invalidate(void)
{
	return madvise(memory, LEN, MADV_DONTNEED) ? errno : 0;
}

/* Zeros are seen by the device too. */
static bool is_invalidated(void)
{
	memset(bounce->addr, 1, LEN);
	if (!move(IBV_WR_RDMA_READ))
		return false;
	for (size_t i = 0; i < PAGES; i++)
		for (size_t b = 0; b < o.chunk; b++)
			if (((unsigned char *)bounce->addr)[i * ODP_PAGE + b])
				return false;
	return is_registered_right();
}

/* The library has queued what the kernel was not told of. */
static bool reconnect(void)
{
	odp_connect(&o);
	return true;
}

static int rdma_write(void)
{
	struct ibv_sge sge = { (uintptr_t)bounce->addr, o.chunk, bounce->lkey };
	struct ibv_send_wr *bad, wr = {
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = IBV_WR_RDMA_WRITE,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = { (uintptr_t)memory, mr->rkey },
	};
	int err = ibv_post_send(o.qp, &wr, &bad);

	return err ?: odp_wait_wc(&o).status ? EIO : 0;
}

/* --- memory windows --- */

static int alloc_mw(void)
{
	mw = ibv_alloc_mw(o.pd, IBV_MW_TYPE_1);
	return mw ? 0 : errno;
}

static void open_window(void)
{
	int err;

	open_registered();
	err = alloc_mw();
	if (err)
		odp_die(err, "ibv_alloc_mw");
}

static int bind_mw(void)
{
	struct ibv_mw_bind bind = {
		.send_flags = IBV_SEND_SIGNALED,
		.bind_info = {
			.mr = mr,
			.addr = (uintptr_t)memory,
			.length = LEN,
			.mw_access_flags = IBV_ACCESS_REMOTE_WRITE |
					   IBV_ACCESS_REMOTE_READ,
		},
	};
	int err = ibv_bind_mw(o.peer, mw, &bind);

	return err ?: odp_wait_wc(&o).status ? EIO : 0;
}

static void open_bound(void)
{
	int err;

	open_window();
	err = bind_mw();
	if (err)
		odp_die(err, "ibv_bind_mw");
}

static int dealloc_mw(void)
{
	return ibv_dealloc_mw(mw);
}

static bool moves_data_by_window(void)
{
	stamp(bounce->addr, 4);
	for (size_t i = 0; i < PAGES; i++)
		if (odp_rdma(&o, IBV_WR_RDMA_WRITE, odp_at(bounce, i * ODP_PAGE),
			     (struct odp_side){ (uintptr_t)memory + i * ODP_PAGE,
						mw->rkey }, o.chunk))
			return false;
	return stamped(memory, 4) && !ibv_dealloc_mw(mw) && is_registered_right();
}

static bool is_window(void)
{
	return !bind_mw() && moves_data_by_window();
}

/* --- what carries regions --- */

static struct ibv_pd *pd;
static struct ibv_cq *cq;
static struct ibv_qp *qp;

static int alloc_pd(void)
{
	pd = ibv_alloc_pd(o.ctx);
	return pd ? 0 : errno;
}

static int create_cq(void)
{
	cq = ibv_create_cq(o.ctx, ODP_DEPTH, NULL, NULL, 0);
	return cq ? 0 : errno;
}

static int create_qp(void)
{
	struct ibv_qp_init_attr init = {
		.qp_type = IBV_QPT_RC,
		.send_cq = cq,
		.recv_cq = cq,
		.cap = { ODP_DEPTH, ODP_DEPTH, 1, 1, 0 },
	};

	qp = ibv_create_qp(pd, &init);
	return qp ? 0 : errno;
}

static void open_cq(void)
{
	int err;

	open_registered();
	err = alloc_pd() ?: create_cq();
	if (err)
		odp_die(err, "a PD and a CQ");
}

static void open_qp(void)
{
	int err;

	open_cq();
	err = create_qp();
	if (err)
		odp_die(err, "a QP");
}

static bool frees_pd(void)
{
	return !ibv_dealloc_pd(pd);
}

static bool frees_cq(void)
{
	return !ibv_destroy_cq(cq);
}

static bool frees_qp(void)
{
	odp_connect_to(&o, qp, qp->qp_num);
	return !ibv_destroy_qp(qp) && frees_cq() && frees_pd();
}

static int destroy_qp(void)
{
	return ibv_destroy_qp(qp);
}

static bool frees_the_rest(void)
{
	return frees_cq() && frees_pd() && is_registered_right();
}

/* All that is left goes with the file. */
static int close_device(void)
{
	return close(o.ctx->cmd_fd) ? errno : 0;
}

static bool is_closed(void)
{
	o = (struct odp){};
	open_registered();
	return is_registered_right();
}

static const struct sweep sweeps[] = {
	{ "register", open_resident, reg_explicit, is_registered_right, NULL },
	{ "register-absent", open_all, reg_explicit, is_registered_right, NULL },
	{ "register-implicit", open_all, reg_implicit, is_registered_right, NULL },
	{ "register-huge", open_huge, reg_huge, moves_huge_data, NULL },
	{ "deregister", open_mapped, dereg, is_deregistered, NULL },
	{ "rereg", open_mapped, rereg, is_registered_right, NULL },
	{ "prefetch", open_registered, prefetch_read, is_registered_right, NULL },
	{ "prefetch-write", open_registered, prefetch_write, is_registered_right, NULL },
	{ "prefetch-no-fault", open_registered_resident, prefetch_no_fault,
	  is_registered_right, NULL },
	{ "prefetch-implicit", open_implicit, prefetch_write, is_registered_right, NULL },
	{ "prefetch-huge", open_huge_registered, prefetch_write, moves_huge_data, NULL },
	{ "prefetch-later", open_registered, prefetch_later, is_registered_right, NULL },
	{ "invalidate", open_mapped, invalidate, is_invalidated, NULL },
	{ "rdma-write", open_registered, rdma_write, is_registered_right, reconnect },
	{ "alloc-mw", open_registered, alloc_mw, is_window, NULL },
	{ "bind-mw", open_window, bind_mw, moves_data_by_window, reconnect },
	{ "dealloc-mw", open_bound, dealloc_mw, is_registered_right, NULL },
	{ "alloc-pd", open_all, alloc_pd, frees_pd, NULL },
	{ "create-cq", open_all, create_cq, frees_cq, NULL },
	{ "create-qp", open_cq, create_qp, frees_qp, NULL },
	{ "destroy-qp", open_qp, destroy_qp, frees_the_rest, NULL },
	{ "close", open_mapped, close_device, is_closed, NULL },
};

int main(int argc, char **argv)
{
	return SWEEP_MAIN(argc, argv, sweeps);
}
