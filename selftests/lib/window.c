// SPDX-License-Identifier: GPL-2.0
/* Memory windows, see window.h */

#include <errno.h>

#include "window.h"

struct ibv_mw *window_alloc(struct ibv_pd *pd, enum ibv_mw_type type)
{
	struct ibv_mw *mw = ibv_alloc_mw(pd, type);

	if (!mw)
		odp_die(errno, "ibv_alloc_mw");
	return mw;
}

/* The pair, seen from the responder. */
static struct odp back_of(const struct odp *pair)
{
	struct odp back = *pair;

	back.qp = pair->peer;
	back.peer = pair->qp;
	return back;
}

static enum ibv_wc_status run(struct odp *o, struct ibv_send_wr *wr)
{
	wr->send_flags = IBV_SEND_SIGNALED;
	odp_post(o, wr);
	return odp_wait_wc(o).status;
}

/* librxe turns it into a work request, and takes the new key for granted. */
static enum ibv_wc_status bind_type1(struct odp *o, struct ibv_mw *mw,
				     const struct ibv_mw_bind_info *info)
{
	struct ibv_mw_bind bind = { .send_flags = IBV_SEND_SIGNALED, .bind_info = *info };
	uint32_t key = mw->rkey;
	int err = ibv_bind_mw(o->qp, mw, &bind);
	enum ibv_wc_status status;

	if (err)
		odp_die(err, "ibv_bind_mw");
	status = odp_wait_wc(o).status;
	if (status)
		mw->rkey = key;
	return status;
}

enum ibv_wc_status window_bind_as(const struct odp *pair, struct ibv_mw *mw, struct ibv_mr *mr,
				  uint64_t addr, uint64_t len, int access, uint32_t key)
{
	struct odp back = back_of(pair);
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_BIND_MW,
		.bind_mw = {
			.mw = mw,
			.rkey = key,
			.bind_info = {
				.mr = mr,
				.addr = addr,
				.length = len,
				.mw_access_flags = access,
			},
		},
	};
	enum ibv_wc_status status;

	if (mw->type == IBV_MW_TYPE_1)
		return bind_type1(&back, mw, &wr.bind_mw.bind_info);
	status = run(&back, &wr);
	if (!status)
		mw->rkey = key;
	return status;
}

enum ibv_wc_status window_bind(const struct odp *pair, struct ibv_mw *mw, struct ibv_mr *mr,
			       uint64_t addr, uint64_t len, int access)
{
	return window_bind_as(pair, mw, mr, addr, len, access, ibv_inc_rkey(mw->rkey));
}

enum ibv_wc_status window_invalidate(const struct odp *pair, uint32_t key)
{
	struct odp back = back_of(pair);
	struct ibv_send_wr wr = { .opcode = IBV_WR_LOCAL_INV, .invalidate_rkey = key };

	return run(&back, &wr);
}

enum ibv_wc_status window_invalidate_remote(const struct odp *pair, uint32_t key)
{
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_SEND_WITH_INV,
		.send_flags = IBV_SEND_SIGNALED,
		.invalidate_rkey = key,
	};
	struct odp o = *pair;
	struct ibv_recv_wr receive = {}, *bad;
	enum ibv_wc_status status = IBV_WC_SUCCESS;
	int err = ibv_post_recv(pair->peer, &receive, &bad);

	if (err)
		odp_die(err, "ibv_post_recv");
	odp_post(&o, &wr);
	for (int ends = 0; ends < 2; ends++) {
		struct ibv_wc wc = odp_wait_wc(&o);

		if (wc.status)
			status = wc.status;
	}
	return status;
}
