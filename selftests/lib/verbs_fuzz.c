// SPDX-License-Identifier: GPL-2.0
/* Random verbs, see verbs_fuzz.h */

#include <fcntl.h>

#include "verbs_fuzz_call.h"

const char *const fuzz_names[FUZZ_OPERATIONS] = {
	"alloc_pd", "reg_mr", "alloc_mw", "create_cq", "create_qp", "create_srq", "create_ah",
	"destroy", "rereg_mr", "resize_cq", "poll_or_notify", "modify_qp", "query", "modify_srq",
	"mcast", "advise_mr", "post", "any ioctl", "any write", "memory",
};

/* How often each is called, in a hundred. */
static const unsigned int often[FUZZ_OPERATIONS] = {
	2, 10, 3, 3, 5, 2, 1, 11, 8, 4, 3, 16, 3, 3, 2, 5, 9, 4, 3, 3,
};

/* --- objects --------------------------------------------------------------------------------- */

static int make_pd(struct fuzz_thread *t)
{
	uint32_t answer[ANSWER / 4];
	struct ib_uverbs_alloc_pd core = { .response = (uintptr_t)answer };
	int err = COMMAND(t, ALLOC_PD, core, answer);

	if (!err)
		remember(t, FUZZ_PD, answer[0]);
	return err;
}

static int make_mr(struct fuzz_thread *t)
{
	uint32_t answer[ANSWER / 4];
	struct ib_uverbs_reg_mr core = {
		.response = (uintptr_t)answer,
		.start = address(t),
		.length = length(t),
		.pd_handle = handle(t, FUZZ_PD),
		.access_flags = access_flags(t),
	};
	int err;

	core.hca_va = one_in(t, 4) ? any64(t) << 12 | (core.start & (ODP_PAGE - 1)) : core.start;
	err = COMMAND(t, REG_MR, core, answer);
	if (err)
		return err;
	remember(t, FUZZ_MR, answer[0]);
	atomic_store(&t->f->keys[odp_random(t->rnd, FUZZ_HANDLES)], answer[1]);
	return 0;
}

static int make_mw(struct fuzz_thread *t)
{
	uint32_t answer[ANSWER / 4];
	struct ib_uverbs_alloc_mw core = {
		.response = (uintptr_t)answer,
		.pd_handle = handle(t, FUZZ_PD),
		.mw_type = one_in(t, 20) ? number(t, 256) : 1 + odp_random(t->rnd, 2),
	};
	int err = COMMAND(t, ALLOC_MW, core, answer);

	if (err)
		return err;
	remember(t, FUZZ_MW, answer[0]);
	atomic_store(&t->f->keys[odp_random(t->rnd, FUZZ_HANDLES)], answer[1]);
	return 0;
}

static int make_cq(struct fuzz_thread *t)
{
	uint32_t answer[ANSWER / 4];
	struct ib_uverbs_create_cq core = {
		.response = (uintptr_t)answer,
		.cqe = number(t, 200),
		.comp_vector = one_in(t, 10) ? any64(t) : 0,
		.comp_channel = one_in(t, 10) ? (int)number(t, 10) : -1,
	};
	int err = COMMAND(t, CREATE_CQ, core, answer);

	if (!err)
		remember(t, FUZZ_CQ, answer[0]);
	return err;
}

static int make_qp(struct fuzz_thread *t)
{
	uint32_t answer[ANSWER / 4];
	struct ib_uverbs_create_qp core = {
		.response = (uintptr_t)answer,
		.pd_handle = handle(t, FUZZ_PD),
		.send_cq_handle = handle(t, FUZZ_CQ),
		.recv_cq_handle = handle(t, FUZZ_CQ),
		.srq_handle = handle(t, FUZZ_SRQ),
		.max_send_wr = number(t, 40),
		.max_recv_wr = number(t, 40),
		.max_send_sge = number(t, 5),
		.max_recv_sge = number(t, 5),
		.max_inline_data = number(t, 100),
		.sq_sig_all = odp_random(t->rnd, 2),
		.qp_type = one_in(t, 12) ? number(t, 256) : IBV_QPT_RC + odp_random(t->rnd, 3),
		.is_srq = one_in(t, 4),
	};
	int err = COMMAND(t, CREATE_QP, core, answer);

	if (err)
		return err;
	remember(t, FUZZ_QP, answer[0]);
	atomic_store(&t->f->qpns[odp_random(t->rnd, FUZZ_HANDLES)], answer[1]);
	return 0;
}

static int make_srq(struct fuzz_thread *t)
{
	uint32_t answer[ANSWER / 4];
	struct ib_uverbs_create_srq core = {
		.response = (uintptr_t)answer,
		.pd_handle = handle(t, FUZZ_PD),
		.max_wr = number(t, 60),
		.max_sge = number(t, 5),
		.srq_limit = number(t, 10),
	};
	int err = COMMAND(t, CREATE_SRQ, core, answer);

	if (!err)
		remember(t, FUZZ_SRQ, answer[0]);
	return err;
}

static int make_ah(struct fuzz_thread *t)
{
	uint32_t answer[ANSWER / 4];
	struct ib_uverbs_create_ah core = {
		.response = (uintptr_t)answer,
		.pd_handle = handle(t, FUZZ_PD),
		.attr = { .is_global = !one_in(t, 8), .port_num = one_in(t, 8) ? number(t, 4) : 1 },
	};
	int err;

	any_destination(t, core.attr.grh.dgid, &core.attr.grh.sgid_index);
	err = COMMAND(t, CREATE_AH, core, answer);
	if (!err)
		remember(t, FUZZ_AH, answer[0]);
	return err;
}

/* Some commands have no answer: then the handle is what they begin with. */
static int destroy(struct fuzz_thread *t)
{
	static const struct {
		uint32_t command;
		bool answers;
	} how[FUZZ_KINDS] = {
		[FUZZ_PD] = { IB_USER_VERBS_CMD_DEALLOC_PD, false },
		[FUZZ_MR] = { IB_USER_VERBS_CMD_DEREG_MR, false },
		[FUZZ_MW] = { IB_USER_VERBS_CMD_DEALLOC_MW, false },
		[FUZZ_CQ] = { IB_USER_VERBS_CMD_DESTROY_CQ, true },
		[FUZZ_QP] = { IB_USER_VERBS_CMD_DESTROY_QP, true },
		[FUZZ_SRQ] = { IB_USER_VERBS_CMD_DESTROY_SRQ, true },
		[FUZZ_AH] = { IB_USER_VERBS_CMD_DESTROY_AH, false },
	};
	const enum fuzz_kind kind = odp_random(t->rnd, FUZZ_KINDS);
	uint32_t answer[ANSWER / 4], short_core = handle(t, kind);
	struct ib_uverbs_destroy_qp core = { (uintptr_t)answer, short_core, 0 };

	return how[kind].answers ? command(t, how[kind].command, &core, sizeof(core), answer) :
	       command(t, how[kind].command, &short_core, sizeof(short_core), answer);
}

static int (*const operations[FUZZ_OPERATIONS])(struct fuzz_thread *t) = {
	make_pd, make_mr, make_mw, make_cq, make_qp, make_srq, make_ah, destroy, fuzz_rereg_mr,
	fuzz_resize_cq, fuzz_ask_cq, fuzz_modify_qp, fuzz_query, fuzz_modify_srq, fuzz_mcast,
	fuzz_advise, fuzz_post, fuzz_any_ioctl, fuzz_any_write, fuzz_change_memory,
};

void fuzz_call(struct fuzz_thread *t)
{
	unsigned int at = odp_random(t->rnd, 100), which = 0;

	while (at >= often[which])
		at -= often[which++];
	atomic_fetch_add(&t->f->counts->made[which], 1);
	if (!operations[which](t))
		atomic_fetch_add(&t->f->counts->accepted[which], 1);
}

void fuzz_open(struct fuzz *f, struct fuzz_counts *counts)
{
	odp_open(&f->o);
	f->counts = counts;
	f->memory = odp_map(LEN);
	pthread_mutex_init(&f->post_lock, NULL);
	fcntl(f->o.ctx->async_fd, F_SETFL, O_NONBLOCK);
	for (unsigned int i = 0; i < FUZZ_HANDLES; i++) {
		const struct ibv_qp *qp = i % 2 ? f->o.qp : f->o.peer;

		f->handles[FUZZ_PD][i] = f->o.pd->handle;
		f->handles[FUZZ_CQ][i] = f->o.cq->handle;
		f->handles[FUZZ_QP][i] = qp->handle;
		f->qpns[i] = qp->qp_num;
	}
}
