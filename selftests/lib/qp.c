// SPDX-License-Identifier: GPL-2.0
/* More queue pairs, see qp.h */

#include <errno.h>

#include "qp.h"

#define RC_OPERATIONS	(IBV_QP_EX_WITH_RDMA_WRITE | \
			 IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM | \
			 IBV_QP_EX_WITH_RDMA_READ | IBV_QP_EX_WITH_SEND | \
			 IBV_QP_EX_WITH_ATOMIC_CMP_AND_SWP | \
			 IBV_QP_EX_WITH_ATOMIC_FETCH_AND_ADD | \
			 IBV_QP_EX_WITH_ATOMIC_WRITE | IBV_QP_EX_WITH_FLUSH | \
			 IBV_QP_EX_WITH_BIND_MW | IBV_QP_EX_WITH_LOCAL_INV)

static struct ibv_qp *make_qp(struct odp *pair, struct qp_options options,
			      struct ibv_srq *srq)
{
	struct ibv_qp_init_attr_ex init = {
		.qp_type = options.type,
		.send_cq = pair->cq,
		.recv_cq = pair->cq,
		.srq = srq,
		.cap = {
			.max_send_wr = ODP_DEPTH,
			.max_recv_wr = ODP_DEPTH,
			.max_send_sge = options.sges,
			.max_recv_sge = options.sges,
			.max_inline_data = options.inline_bytes,
		},
		.comp_mask = IBV_QP_INIT_ATTR_PD |
			     IBV_QP_INIT_ATTR_SEND_OPS_FLAGS,
		.pd = pair->pd,
		.send_ops_flags = options.type == IBV_QPT_RC ?
				  RC_OPERATIONS : IBV_QP_EX_WITH_SEND,
	};
	struct ibv_qp *qp = ibv_create_qp_ex(pair->ctx, &init);

	if (!qp)
		odp_die(errno, "ibv_create_qp_ex");
	return qp;
}

void qp_open(struct odp *pair, const struct odp *o, struct qp_options options)
{
	*pair = *o;
	pair->cq = ibv_create_cq(o->ctx, 4 * ODP_DEPTH, NULL, NULL, 0);
	if (!pair->cq)
		odp_die(errno, "ibv_create_cq");
	pair->qp = make_qp(pair, options, NULL);
	pair->peer = make_qp(pair, options, options.srq);
	qp_connect(pair);
}

void qp_close(struct odp *pair)
{
	ibv_destroy_qp(pair->qp);
	ibv_destroy_qp(pair->peer);
	ibv_destroy_cq(pair->cq);
}

static void modify(struct ibv_qp *qp, struct ibv_qp_attr attr, int mask)
{
	int err = ibv_modify_qp(qp, &attr, mask | IBV_QP_STATE);

	if (err)
		odp_die(err, "ibv_modify_qp to state %d", attr.qp_state);
}

static void start_ud(struct ibv_qp *qp)
{
	modify(qp, (struct ibv_qp_attr){ .qp_state = IBV_QPS_RESET }, 0);
	modify(qp, (struct ibv_qp_attr){
		.qp_state = IBV_QPS_INIT,
		.port_num = 1,
		.qkey = QP_QKEY,
	}, IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_QKEY);
	modify(qp, (struct ibv_qp_attr){ .qp_state = IBV_QPS_RTR }, 0);
	modify(qp, (struct ibv_qp_attr){ .qp_state = IBV_QPS_RTS },
	       IBV_QP_SQ_PSN);
}

void qp_connect(struct odp *pair)
{
	struct ibv_wc wc;

	if (pair->qp->qp_type == IBV_QPT_UD) {
		start_ud(pair->qp);
		start_ud(pair->peer);
		while (ibv_poll_cq(pair->cq, 1, &wc) > 0)
			;
	} else {
		odp_connect_qps(pair, pair->qp, pair->peer);
	}
}

static struct ibv_qp_ex *start(struct odp *pair)
{
	struct ibv_qp_ex *qp = ibv_qp_to_qp_ex(pair->qp);

	ibv_wr_start(qp);
	qp->wr_flags = IBV_SEND_SIGNALED;
	return qp;
}

static enum ibv_wc_status complete(struct odp *pair, struct ibv_qp_ex *qp)
{
	int err = ibv_wr_complete(qp);

	if (err)
		odp_die(err, "ibv_wr_complete");
	return odp_wait_wc(pair).status;
}

/* The extended calls: ibv_post_send refuses misaligned addresses itself */
enum ibv_wc_status qp_atomic(struct odp *pair, enum ibv_wr_opcode op,
			     struct odp_side result, struct odp_side remote,
			     uint64_t compare, uint64_t value)
{
	struct ibv_qp_ex *qp = start(pair);

	if (op == IBV_WR_ATOMIC_CMP_AND_SWP)
		ibv_wr_atomic_cmp_swp(qp, remote.key, remote.addr, compare,
				      value);
	else
		ibv_wr_atomic_fetch_add(qp, remote.key, remote.addr, value);
	ibv_wr_set_sge(qp, result.key, result.addr, sizeof(uint64_t));
	return complete(pair, qp);
}

enum ibv_wc_status qp_atomic_write(struct odp *pair, struct odp_side remote,
				   uint64_t value)
{
	struct ibv_qp_ex *qp = start(pair);

	ibv_wr_atomic_write(qp, remote.key, remote.addr, &value);
	return complete(pair, qp);
}

enum ibv_wc_status qp_flush(struct odp *pair, struct odp_side remote,
			    size_t len, unsigned int placement,
			    enum ibv_selectivity_level level)
{
	struct ibv_qp_ex *qp = start(pair);

	ibv_wr_flush(qp, remote.key, remote.addr, len, placement, level);
	return complete(pair, qp);
}
