// SPDX-License-Identifier: GPL-2.0
/* See held.h */

#include "held.h"
#include "qp.h"
#include "uffd.h"

void held_open(struct held *h, const struct odp *device)
{
	h->addr = odp_map(HELD_LEN + HELD_WINDOW);
	h->addr += -(uintptr_t)h->addr & (HELD_WINDOW - 1);
	uffd_watch(h->fd, h->addr + HELD, HELD_PAGES * ODP_PAGE);
	qp_open(&h->o, device, (struct qp_options){ .type = IBV_QPT_RC, .sges = 1 });
	h->mr = odp_reg(&h->o, h->addr, HELD_LEN, ODP_RW | IBV_ACCESS_ON_DEMAND);
	h->pinned = odp_reg(&h->o, odp_map(ODP_PAGE), ODP_PAGE, ODP_RW);
}

void held_wait(struct held *h)
{
	if (!uffd_asked(h->fd, HELD_SOON_S * 1000))
		odp_die(0, "there was no page fault");
}

void held_write(struct held *h)
{
	struct ibv_sge sge = { (uintptr_t)h->pinned->addr, h->o.chunk, h->pinned->lkey };
	struct ibv_send_wr wr = {
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = IBV_WR_RDMA_WRITE,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = { (uintptr_t)h->addr + HELD, h->mr->rkey },
	};

	odp_stamp(h->pinned->addr, ODP_PAGE, 0, 1);
	odp_post(&h->o, &wr);
	held_wait(h);
}

void held_serve(struct held *h)
{
	uffd_unwatch(h->fd, h->addr + HELD, HELD_PAGES * ODP_PAGE);
}
