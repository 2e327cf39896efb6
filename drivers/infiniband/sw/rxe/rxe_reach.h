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
	if (likely(!(mask & (RXE_ATOMIC_MASK | RXE_ATOMIC_WRITE_MASK | RXE_FLUSH_MASK))))
		return RXE_REACH_WRITE;
	if (mask & RXE_ATOMIC_MASK)
		return RXE_REACH_ATOMIC;
	return mask & RXE_FLUSH_MASK ? RXE_REACH_FLUSH : RXE_REACH_ATOMIC_WRITE;
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

/* Out of the way of all those that do not use a window. */
static inline __cold enum rxe_reach_answer
rxe_reach_by_window(struct rxe_qp *qp, const struct rxe_reach_request *request,
		    struct rxe_mr **found)
{
	struct rxe_dev *rxe = to_rdev(qp->ibqp.device);
	struct rxe_mw *mw = rxe_pool_get_index(&rxe->mw_pool, request->key >> 8);
	struct rxe_reach_window window;

	if (!mw)
		return RXE_REACH_DENIED;
	spin_lock_bh(&mw->lock);
	window = rxe_reach_window(mw);
	*found = mw->mr;
	if (*found)
		rxe_get(*found);
	spin_unlock_bh(&mw->lock);
	rxe_put(mw);
	if (!*found)
		return RXE_REACH_DENIED;
	return rxe_reach_decide_by_window(request, *found, &window, &qp->reach);
}

/*
 * Decides about @request of @qp's peer. @found, which is NULL, is the MR then, with a
 * reference, if there is one at all; if it is allowed, @qp->reach is what is meant of it.
 */
static inline enum rxe_reach_answer rxe_reach_key(struct rxe_qp *qp,
						  const struct rxe_reach_request *request,
						  struct rxe_mr **found)
{
	if (unlikely(rkey_is_mw(request->key)))
		return rxe_reach_by_window(qp, request, found);
	*found = rxe_pool_get_index(&to_rdev(qp->ibqp.device)->mr_pool, request->key >> 8);
	if (!*found)
		return RXE_REACH_DENIED;
	return rxe_reach_decide(request, *found, &qp->reach);
}

/* @qp has the request, or what is left of it, whose next packet is @pkt. */
static inline enum rxe_reach_answer rxe_reach_packet(struct rxe_qp *qp,
						     struct rxe_pkt_info *pkt,
						     struct rxe_mr **mr)
{
	bool flushes = pkt->mask & RXE_FLUSH_MASK;
	struct rxe_reach_request request = {
		.operation = rxe_reach_operation(pkt->mask),
		.placement = flushes ? feth_plt(pkt) : 0,
		.level = flushes ? feth_sel(pkt) : 0,
		.key = qp->resp.rkey,
		.bytes = { qp->resp.va, qp->resp.resid },
		.pd = qp->ibqp.pd,
		.qp = qp,
		.qp_access = qp->attr.qp_access_flags,
	};
	enum rxe_reach_answer answer = rxe_reach_key(qp, &request, mr);

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
		.pd = qp->ibqp.pd,
		.qp = qp,
		.qp_access = qp->attr.qp_access_flags,
	};
	struct rxe_mr *mr = NULL;

	if (rxe_reach_key(qp, &request, &mr) != RXE_REACH_ALLOWED && mr) {
		rxe_put(mr);
		mr = NULL;
	}
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
	struct rxe_reach_window window = rxe_reach_window(mw);

	window.access = access;
	window.bytes.start = wqe->wr.wr.mw.addr;
	window.bytes.length = wqe->wr.wr.mw.length;
	return rxe_reach_may_bind(mr, &window);
}

/* Whether @qp, or its peer, may invalidate @mw. */
static inline bool rxe_reach_invalidates(struct rxe_qp *qp, struct rxe_mw *mw)
{
	struct rxe_reach_window window = rxe_reach_window(mw);

	return rxe_reach_may_invalidate(&window, qp->ibqp.pd, qp);
}

#endif /* RXE_REACH_H */
