// SPDX-License-Identifier: GPL-2.0
/* Random verbs on what there is, see verbs_fuzz.h */

#include <rdma/ib_user_ioctl_cmds.h>
#include <sys/mman.h>

#include "verbs_fuzz_call.h"

/* --- changes --------------------------------------------------------------------------------- */

int fuzz_rereg_mr(struct fuzz_thread *t)
{
	uint32_t answer[ANSWER / 4];
	struct ib_uverbs_rereg_mr core = {
		.response = (uintptr_t)answer,
		.mr_handle = handle(t, FUZZ_MR),
		.flags = number(t, 8),
		.start = address(t),
		.length = length(t),
		.pd_handle = handle(t, FUZZ_PD),
		.access_flags = access_flags(t),
	};

	core.hca_va = core.start;
	return COMMAND(t, REREG_MR, core, answer);
}

int fuzz_resize_cq(struct fuzz_thread *t)
{
	uint32_t answer[ANSWER / 4];
	struct ib_uverbs_resize_cq core = {
		.response = (uintptr_t)answer,
		.cq_handle = handle(t, FUZZ_CQ),
		.cqe = number(t, 300),
	};

	return COMMAND(t, RESIZE_CQ, core, answer);
}

int fuzz_ask_cq(struct fuzz_thread *t)
{
	uint32_t answer[ANSWER / 4];
	struct ib_uverbs_poll_cq poll = {
		.response = (uintptr_t)answer,
		.cq_handle = handle(t, FUZZ_CQ),
		.ne = number(t, 5),
	};
	struct ib_uverbs_req_notify_cq notify = { handle(t, FUZZ_CQ), number(t, 2) };

	return one_in(t, 2) ? COMMAND(t, POLL_CQ, poll, answer) :
	       COMMAND(t, REQ_NOTIFY_CQ, notify, answer);
}

static uint32_t any_mask(struct fuzz_thread *t, unsigned int state)
{
	static const uint32_t masks[] = {
		[IBV_QPS_RESET] = 0,
		[IBV_QPS_INIT] = IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS,
		[IBV_QPS_RTR] = IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
				IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER,
		[IBV_QPS_RTS] = IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
				IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC,
	};
	uint32_t mask = IBV_QP_STATE | (state <= IBV_QPS_RTS ? masks[state] : 0);

	if (one_in(t, 20))
		return any64(t);
	return one_in(t, 6) ? mask ^ 1U << odp_random(t->rnd, 21) : mask;
}

static int to_state(struct fuzz_thread *t, uint32_t qp, unsigned int state)
{
	uint32_t answer[ANSWER / 4];
	struct ib_uverbs_modify_qp core = {
		.dest = { .is_global = 1, .port_num = 1 },
		.alt_dest = { .is_global = 1, .port_num = number(t, 3) },
		.qp_handle = qp,
		.attr_mask = any_mask(t, state),
		.qkey = number(t, 5),
		.rq_psn = number(t, 2),
		.sq_psn = number(t, 2),
		.dest_qp_num = atomic_load(&t->f->qpns[odp_random(t->rnd, FUZZ_HANDLES)]),
		.qp_access_flags = access_flags(t) & ~(IBV_ACCESS_ON_DEMAND | IBV_ACCESS_MW_BIND),
		.pkey_index = number(t, 1),
		.qp_state = state,
		.cur_qp_state = number(t, 7),
		.path_mtu = one_in(t, 8) ? number(t, 8) : IBV_MTU_1024,
		.path_mig_state = number(t, 3),
		.en_sqd_async_notify = number(t, 2),
		.max_rd_atomic = number(t, 10),
		.max_dest_rd_atomic = number(t, 10),
		.min_rnr_timer = number(t, 32),
		.port_num = one_in(t, 12) ? number(t, 3) : 1,
		.timeout = number(t, 15),
		.retry_cnt = number(t, 8),
		.rnr_retry = number(t, 8),
		.alt_port_num = number(t, 3),
		.alt_timeout = number(t, 40),
	};

	any_destination(t, core.dest.dgid, &core.dest.sgid_index);
	any_destination(t, core.alt_dest.dgid, &core.alt_dest.sgid_index);
	return COMMAND(t, MODIFY_QP, core, answer);
}

/* To any state; or to RTS, if nothing that is wrong on the way keeps it from that. */
int fuzz_modify_qp(struct fuzz_thread *t)
{
	const uint32_t qp = handle(t, FUZZ_QP);
	int err = 0;

	if (one_in(t, 2))
		return to_state(t, qp, one_in(t, 8) ? number(t, 256) : odp_random(t->rnd, 7));
	for (unsigned int state = IBV_QPS_RESET; state <= IBV_QPS_RTS && !err; state++)
		err = to_state(t, qp, state);
	return err;
}

int fuzz_query(struct fuzz_thread *t)
{
	uint32_t answer[ANSWER / 4];
	struct ib_uverbs_query_qp qp = {
		(uintptr_t)answer, handle(t, FUZZ_QP), number(t, 1 << 20),
	};
	struct ib_uverbs_query_srq srq = { (uintptr_t)answer, handle(t, FUZZ_SRQ), 0 };

	return one_in(t, 2) ? COMMAND(t, QUERY_QP, qp, answer) :
	       COMMAND(t, QUERY_SRQ, srq, answer);
}

int fuzz_modify_srq(struct fuzz_thread *t)
{
	uint32_t answer[ANSWER / 4];
	struct ib_uverbs_modify_srq core = {
		.srq_handle = handle(t, FUZZ_SRQ),
		.attr_mask = number(t, 4),
		.max_wr = number(t, 100),
		.srq_limit = number(t, 50),
	};

	return COMMAND(t, MODIFY_SRQ, core, answer);
}

int fuzz_mcast(struct fuzz_thread *t)
{
	uint32_t answer[ANSWER / 4];
	struct ib_uverbs_attach_mcast core = {
		.gid = { 0xff, 0x0e, [10] = 0xff, [11] = 0xff, [12] = 239, [15] = number(t, 4) },
		.qp_handle = handle(t, FUZZ_QP),
	};

	return one_in(t, 2) ? COMMAND(t, ATTACH_MCAST, core, answer) :
	       COMMAND(t, DETACH_MCAST, core, answer);
}

int fuzz_advise(struct fuzz_thread *t)
{
	struct ibv_sge sges[3];
	const unsigned int count = 1 + odp_random(t->rnd, 3);
	struct ib_uverbs_attr attributes[] = {
		{ UVERBS_ATTR_ADVISE_MR_PD_HANDLE, 0, UVERBS_ATTR_F_MANDATORY,
		  .data = handle(t, FUZZ_PD) },
		{ UVERBS_ATTR_ADVISE_MR_ADVICE, 8, UVERBS_ATTR_F_MANDATORY, .data = number(t, 3) },
		{ UVERBS_ATTR_ADVISE_MR_FLAGS, 4, UVERBS_ATTR_F_MANDATORY, .data = number(t, 2) },
		{ UVERBS_ATTR_ADVISE_MR_SGE_LIST, count * sizeof(sges[0]),
		  UVERBS_ATTR_F_MANDATORY, .data = (uintptr_t)sges },
	};

	for (unsigned int i = 0; i < count; i++)
		sges[i] = (struct ibv_sge){ address(t), length(t), key(t) };
	return ioctl_call(t, UVERBS_OBJECT_MR, UVERBS_METHOD_ADVISE_MR, attributes, 4);
}

/* --- work, and anything ---------------------------------------------------------------------- */

static int post_one(struct fuzz_thread *t)
{
	static const enum ibv_wr_opcode opcodes[] = {
		IBV_WR_RDMA_WRITE, IBV_WR_RDMA_READ, IBV_WR_SEND, IBV_WR_ATOMIC_FETCH_AND_ADD,
		IBV_WR_RDMA_WRITE_WITH_IMM, IBV_WR_LOCAL_INV, IBV_WR_SEND_WITH_INV,
	};
	struct odp *o = &t->f->o;
	struct ibv_sge sge = { address(t), number(t, 5000), key(t) };
	struct ibv_send_wr wr = {
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = opcodes[odp_random(t->rnd, sizeof(opcodes) / sizeof(opcodes[0]))],
		.send_flags = IBV_SEND_SIGNALED,
		.invalidate_rkey = key(t),
		.wr.rdma = { address(t), key(t) },
	}, *bad;
	struct ibv_recv_wr receive = { .sg_list = &sge, .num_sge = 1 }, *bad_receive;
	struct ibv_wc wc[8];

	if (wr.opcode == IBV_WR_ATOMIC_FETCH_AND_ADD) {
		wr.wr.atomic.remote_addr = address(t) & ~7UL;
		wr.wr.atomic.rkey = key(t);
		sge.length = 8;
	}
	ibv_poll_cq(o->cq, 8, wc);
	if (one_in(t, 4))
		return ibv_post_recv(one_in(t, 2) ? o->qp : o->peer, &receive, &bad_receive);
	return ibv_post_send(one_in(t, 2) ? o->qp : o->peer, &wr, &bad);
}

/* Others change and destroy these queue pairs in the kernel; here, they stay. */
int fuzz_post(struct fuzz_thread *t)
{
	struct ibv_async_event event;
	int err;

	pthread_mutex_lock(&t->f->post_lock);
	err = post_one(t);
	while (!ibv_get_async_event(t->f->o.ctx, &event))
		ibv_ack_async_event(&event);
	pthread_mutex_unlock(&t->f->post_lock);
	return err;
}

int fuzz_any_ioctl(struct fuzz_thread *t)
{
	struct ib_uverbs_attr attributes[ATTRIBUTES];
	const unsigned int count = odp_random(t->rnd, ATTRIBUTES + 1);
	uint64_t room[64] = {};

	for (unsigned int i = 0; i < count; i++)
		attributes[i] = (struct ib_uverbs_attr){
			.attr_id = one_in(t, 6) ? 0x1000 + number(t, 3) : number(t, 10),
			.len = one_in(t, 3) ? number(t, 64) : 4U << odp_random(t->rnd, 4),
			.flags = one_in(t, 6) ? number(t, 4) : 0,
			.data = one_in(t, 2) ? (uintptr_t)room :
				handle(t, odp_random(t->rnd, FUZZ_KINDS)),
		};
	return ioctl_call(t, number(t, 17), number(t, 9), attributes, count);
}

int fuzz_any_write(struct fuzz_thread *t)
{
	uint32_t answer[ANSWER / 4], words[32];
	const uint32_t which = one_in(t, 4) ? 0x80000000U | number(t, 64) : number(t, 46);

	for (unsigned int i = 0; i < 32; i++)
		words[i] = one_in(t, 3) ? handle(t, odp_random(t->rnd, FUZZ_KINDS)) : number(t, 64);
	memcpy(words, &(uint64_t){ (uintptr_t)answer }, 8);
	return command(t, which, words, 4 * odp_random(t->rnd, 33), answer);
}

int fuzz_change_memory(struct fuzz_thread *t)
{
	char *page = t->f->memory + odp_random(t->rnd, FUZZ_PAGES) * ODP_PAGE;

	if (one_in(t, 3))
		return mprotect(page, ODP_PAGE, one_in(t, 3) ? PROT_READ : PROT_READ | PROT_WRITE) ?
		       errno : 0;
	return madvise(page, ODP_PAGE, MADV_DONTNEED) ? errno : 0;
}
