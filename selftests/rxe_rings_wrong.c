// SPDX-License-Identifier: GPL-2.0
/*
 * Requests that are wrong, in a ring: each has a completion with an error, and the queue pair
 * can be used again. Cases. On stock the kernel follows pointers that are in some.
 */

#include <string.h>

#include "lib/cases.h"
#include "lib/ring_pair.h"

static void opcode_after_last(struct ring_pair *t, struct rxe_send_wqe *wqe)
{
	(void)t;
	wqe->wr.opcode = 16;
}

static void opcode_far_away(struct ring_pair *t, struct rxe_send_wqe *wqe)
{
	(void)t;
	wqe->wr.opcode = 0x7fffffff;
}

static void opcode_negative(struct ring_pair *t, struct rxe_send_wqe *wqe)
{
	(void)t;
	wqe->wr.opcode = 0x80000000;
}

static void opcode_of_kernel(struct ring_pair *t, struct rxe_send_wqe *wqe)
{
	(void)t;
	wqe->wr.opcode = 0x20;	/* REG_MR, and the address of the region */
	wqe->wr.wr.rdma.remote_addr = 0xdead000000000000;
}

static void list_too_long(struct ring_pair *t, struct rxe_send_wqe *wqe)
{
	(void)t;
	wqe->dma.num_sge = 0x10000000;
}

static void list_has_other_length(struct ring_pair *t, struct rxe_send_wqe *wqe)
{
	(void)t;
	wqe->dma.length = RING_SMALL + 1;
}

static void list_wraps(struct ring_pair *t, struct rxe_send_wqe *wqe)
{
	wqe->dma.num_sge = 3;
	wqe->dma.sge[0] = ring_sge(t, ring_page(t, 0), 0xffffffff);
	wqe->dma.sge[1] = ring_sge(t, ring_page(t, 0), RING_SMALL);
	wqe->dma.sge[2] = ring_sge(t, ring_page(t, 0), 1);
}

static void inline_too_long(struct ring_pair *t, struct rxe_send_wqe *wqe)
{
	(void)t;
	ring_make_inline(wqe, 0);
	wqe->dma.length = 0xfffffff0;
}

static void inline_read(struct ring_pair *t, struct rxe_send_wqe *wqe)
{
	(void)t;
	ring_make_inline(wqe, 0);
	wqe->wr.opcode = IBV_WR_RDMA_READ;
}

static void atomic_too_short(struct ring_pair *t, struct rxe_send_wqe *wqe)
{
	wqe->wr.opcode = IBV_WR_ATOMIC_FETCH_AND_ADD;
	wqe->wr.wr.atomic.remote_addr = (uintptr_t)ring_page(t, 1);
	wqe->wr.wr.atomic.rkey = t->mr->rkey;
	wqe->dma.length = 4;
	wqe->dma.sge[0].length = 4;
}

static void atomic_write_too_long(struct ring_pair *t, struct rxe_send_wqe *wqe)
{
	(void)t;
	wqe->wr.opcode = IBV_WR_ATOMIC_WRITE;
	wqe->dma.length = 1 << 20;
}

/* All that is the kernel's to say. It does not count. */
static void kernel_fields(struct ring_pair *t, struct rxe_send_wqe *wqe)
{
	(void)t;
	wqe->status = IBV_WC_GENERAL_ERR;
	wqe->state = 4;
	wqe->iova = ~0ULL;
	wqe->mask = ~0U;
	wqe->first_psn = ~0U;
	wqe->last_psn = ~0U;
	wqe->ssn = ~0U;
	wqe->has_rd_atomic = 1;
	wqe->dma.resid = ~0U;
	wqe->dma.cur_sge = 0x7fffffff;
	wqe->dma.sge_offset = 0x7fffffff;
}

static const struct wrong {
	const char *what;
	void (*make)(struct ring_pair *t, struct rxe_send_wqe *wqe);
	enum ibv_wc_status status;
} wrongs[] = {
	{ "an opcode that there is not", opcode_after_last, IBV_WC_LOC_QP_OP_ERR },
	{ "an opcode far behind the last", opcode_far_away, IBV_WC_LOC_QP_OP_ERR },
	{ "a negative opcode", opcode_negative, IBV_WC_LOC_QP_OP_ERR },
	{ "an opcode with an address of the kernel's", opcode_of_kernel, IBV_WC_LOC_QP_OP_ERR },
	{ "a list that is too long", list_too_long, IBV_WC_LOC_QP_OP_ERR },
	{ "a list of another length", list_has_other_length, IBV_WC_LOC_QP_OP_ERR },
	{ "a list whose length wraps", list_wraps, IBV_WC_LOC_LEN_ERR },
	{ "more data than fits", inline_too_long, IBV_WC_LOC_LEN_ERR },
	{ "a READ into the request", inline_read, IBV_WC_LOC_QP_OP_ERR },
	{ "an atomic operation without room for the result", atomic_too_short,
	  IBV_WC_LOC_LEN_ERR },
	{ "an atomic write of a MiB", atomic_write_too_long, IBV_WC_LOC_LEN_ERR },
	{ "all that the kernel has to say", kernel_fields, IBV_WC_SUCCESS },
};

static void is_wrong(struct ring_pair *t, const struct wrong *wrong)
{
	struct rxe_send_wqe *wqe = ring_next_send(t, 9);
	struct ibv_wc wc;
	bool is;

	wrong->make(t, wqe);
	ring_receive(t, 3);
	ring_send(t);
	is = ring_completed(t, t->o.qp, &wc, RING_SOON_S);
	ring_result(wrong->what, is, &wc, 9, wrong->status);
	odp_connect(&t->o);

	ring_receive(t, 3);
	ring_next_send(t, 10);
	ring_send(t);
	is = ring_completed(t, t->o.qp, &wc, RING_SOON_S);
	if (!is || wc.wr_id != 10 || wc.status)
		ring_result("the queue pair works after that", is, &wc, 10, IBV_WC_SUCCESS);
}

int main(void)
{
	struct ring_pair t;

	ring_pair_open(&t);
	for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
		odp_connect(&t.o);
		is_wrong(&t, &wrongs[i]);
	}
	ring_pair_close(&t);
	return ODP_OK;
}
