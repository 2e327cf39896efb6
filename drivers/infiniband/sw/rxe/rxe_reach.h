/* SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB */
/*
 * What a peer may reach is decided in reach.rs. Here its values are collected: keys
 * looked up, windows read under their lock.
 */

#ifndef RXE_REACH_H
#define RXE_REACH_H

static inline enum rxe_reach_operation rxe_reach_operation(u32 mask)
{
	if (mask & RXE_READ_MASK)
		return RXE_REACH_READ;
	if (mask & RXE_ATOMIC_MASK)
		return RXE_REACH_ATOMIC;
	if (mask & RXE_ATOMIC_WRITE_MASK)
		return RXE_REACH_ATOMIC_WRITE;
	return mask & RXE_FLUSH_MASK ? RXE_REACH_FLUSH : RXE_REACH_WRITE;
}

static inline struct rxe_reach_region rxe_reach_region(struct rxe_mr *mr)
{
	return (struct rxe_reach_region) {
		.valid = READ_ONCE(mr->state) == RXE_MR_STATE_VALID,
		.everything = mr->ibmr.type == IB_MR_TYPE_DMA,
		.key = mr->rkey,
		.access = mr->access,
		.pd = mr->ibmr.pd,
		.bytes = { mr->ibmr.iova, mr->ibmr.length },
	};
}

/* Held: the window's lock. */
static inline struct rxe_reach_window rxe_reach_window(struct rxe_mw *mw)
{
	return (struct rxe_reach_window) {
		.valid = mw->state == RXE_MW_STATE_VALID,
		.is_type2 = mw->ibmw.type == IB_MW_TYPE_2,
		.key = mw->rkey,
		.access = mw->access,
		.pd = mw->ibmw.pd,
		.qp = mw->qp,
		.bytes = { mw->addr, mw->length },
	};
}

/*
 * Decides about @request of @qp's peer. If it is allowed, @found is the MR, with a
 * reference, and @qp->reach what is meant of it.
 */
static inline enum rxe_reach_answer rxe_reach_key(struct rxe_qp *qp,
						  struct rxe_reach_request *request,
						  struct rxe_mr **found)
{
	struct rxe_dev *rxe = to_rdev(qp->ibqp.device);
	bool by_window = rkey_is_mw(request->key);
	enum rxe_reach_answer answer;
	struct rxe_reach_region region;
	struct rxe_reach_window window;
	struct rxe_mr *mr;

	if (unlikely(by_window)) {
		struct rxe_mw *mw = rxe_pool_get_index(&rxe->mw_pool, request->key >> 8);

		if (!mw)
			return RXE_REACH_DENIED;
		spin_lock_bh(&mw->lock);
		window = rxe_reach_window(mw);
		mr = mw->mr;
		if (mr)
			rxe_get(mr);
		spin_unlock_bh(&mw->lock);
		rxe_put(mw);
	} else {
		mr = rxe_pool_get_index(&rxe->mr_pool, request->key >> 8);
	}
	if (!mr)
		return RXE_REACH_DENIED;

	request->pd = qp->ibqp.pd;
	request->qp = qp;
	request->qp_access = qp->attr.qp_access_flags;
	region = rxe_reach_region(mr);
	answer = rxe_reach_decide(request, &region, by_window ? &window : NULL, &qp->reach);
	if (answer == RXE_REACH_ALLOWED)
		*found = mr;
	else
		rxe_put(mr);
	return answer;
}

/* @qp has the request, or what is left of it, whose next packet is @pkt. */
static inline enum rxe_reach_answer rxe_reach_packet(struct rxe_qp *qp,
						     struct rxe_pkt_info *pkt,
						     struct rxe_mr **mr)
{
	struct rxe_reach_request request = {
		.operation = rxe_reach_operation(pkt->mask),
		.key = qp->resp.rkey,
		.bytes = { qp->resp.va, qp->resp.resid },
	};
	enum rxe_reach_answer answer;

	if (pkt->mask & RXE_FLUSH_MASK) {
		request.placement = feth_plt(pkt);
		request.level = feth_sel(pkt);
	}
	answer = rxe_reach_key(qp, &request, mr);
	if (answer == RXE_REACH_ALLOWED)
		qp->resp.offset = qp->reach.start - qp->resp.va;
	return answer;
}

/* For what is left of a READ: all of that is asked again, as all of it may have changed. */
static inline struct rxe_mr *rxe_reach_read(struct rxe_qp *qp, const struct resp_res *res)
{
	struct rxe_reach_request request = {
		.operation = RXE_REACH_READ,
		.key = res->read.rkey,
		.bytes = { res->read.va, res->read.resid },
	};
	struct rxe_mr *mr = NULL;

	rxe_reach_key(qp, &request, &mr);
	return mr;
}

/* What @qp remembers of the request that comes again as @pkt, or NULL. */
static inline struct resp_res *rxe_reach_find_record(struct rxe_qp *qp,
						     struct rxe_pkt_info *pkt)
{
	struct rxe_reach_duplicate duplicate = {
		.operation = rxe_reach_operation(pkt->mask),
		.psn = pkt->psn,
	};
	int i;

	if (pkt->mask & RXE_READ_MASK) {
		duplicate.key = reth_rkey(pkt);
		duplicate.bytes.start = reth_va(pkt);
		duplicate.bytes.length = reth_len(pkt);
	}
	for (i = 0; i < qp->attr.max_dest_rd_atomic; i++) {
		struct resp_res *res = &qp->resp.resources[i];
		struct rxe_reach_record record = {
			.operation = rxe_reach_operation(res->type),
			.first_psn = res->first_psn,
			.last_psn = res->last_psn,
		};

		if (res->type == 0)
			continue;
		if (res->type == RXE_READ_MASK) {
			record.key = res->read.rkey;
			record.bytes.start = res->read.va_org;
			record.bytes.length = res->read.length;
		}
		if (rxe_reach_is_of_record(&duplicate, &record, qp->mtu))
			return res;
	}
	return NULL;
}

/* Whether @mr may have the window that @wqe asks for. */
static inline bool rxe_reach_binds(const struct rxe_send_wqe *wqe, struct rxe_mw *mw,
				   struct rxe_mr *mr, int access)
{
	struct rxe_reach_region region = rxe_reach_region(mr);
	struct rxe_reach_window window = rxe_reach_window(mw);

	window.access = access;
	window.bytes.start = wqe->wr.wr.mw.addr;
	window.bytes.length = wqe->wr.wr.mw.length;
	return rxe_reach_may_bind(&region, &window);
}

/* Whether @qp, or its peer, may invalidate @mw. */
static inline bool rxe_reach_invalidates(struct rxe_qp *qp, struct rxe_mw *mw)
{
	struct rxe_reach_window window = rxe_reach_window(mw);

	return rxe_reach_may_invalidate(&window, qp->ibqp.pd, qp);
}

#endif /* RXE_REACH_H */
