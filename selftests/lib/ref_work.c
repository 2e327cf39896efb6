// SPDX-License-Identifier: GPL-2.0
/* What the threads of a process do at random, see ref.h */

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ref.h"

#define QKEY		0x11111111

/* --- pieces of memory, by random keys --------------------------------------------------------- */

struct piece {
	struct ibv_sge sge;
	uint32_t rkey;
};

static size_t random_length(struct ref_thread *t)
{
	static const size_t lengths[] = { 0, 8, 64, 4096, 5000, 20000, 65536 };

	return lengths[odp_random(t->rnd, sizeof(lengths) / sizeof(lengths[0]))];
}

/* Of what others may change meanwhile: then the key is wrong, which is right, too. */
static struct piece random_piece(struct ref_thread *t, unsigned int device, size_t length)
{
	struct ref_world *w = t->world;
	const size_t at = odp_random(t->rnd, REF_LEN - length + 1) & ~7UL;
	struct ref_region *r = &w->regions[device][odp_random(t->rnd, REF_MEMORIES)];
	struct piece piece = { { r->addr + at, length, r->key }, r->key };

	if (odp_random(t->rnd, 4) == 0)
		piece.rkey = w->windows[device][odp_random(t->rnd, REF_MWS)].rkey;
	return piece;
}

static struct ref_pair *take_pair(struct ref_thread *t)
{
	struct ref_pair *p = &t->world->pairs[odp_random(t->rnd, REF_PAIRS)];

	if (pthread_mutex_trylock(&p->lock))
		return NULL;
	if (p->qp[0] && p->qp[1])
		return p;
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static void let_pair_go(struct ref_pair *p)
{
	pthread_mutex_unlock(&p->lock);
}

/* --- work requests --------------------------------------------------------------------------- */

static void post_recv(struct ref_thread *t, struct ref_pair *p, unsigned int end)
{
	struct piece piece = random_piece(t, p->device[end], 65536);
	struct ibv_recv_wr wr = { .sg_list = &piece.sge, .num_sge = 1 }, *bad;

	if (!p->has_srq[end])
		ibv_post_recv(p->qp[end], &wr, &bad);
	else if (t->world->srq[p->device[end]])
		ibv_post_srq_recv(t->world->srq[p->device[end]], &wr, &bad);
}

static void receive(struct ref_thread *t)
{
	struct ref_pair *p = take_pair(t);

	if (!p)
		return;
	/* The SRQ stays for as long as a queue pair has it */
	for (unsigned long n = odp_random(t->rnd, 6); n; n--)
		post_recv(t, p, odp_random(t->rnd, 2));
	let_pair_go(p);
}

static void send(struct ref_thread *t, struct ref_pair *p)
{
	static const enum ibv_wr_opcode ops[] = {
		IBV_WR_SEND, IBV_WR_SEND_WITH_IMM, IBV_WR_RDMA_WRITE, IBV_WR_RDMA_WRITE_WITH_IMM,
		IBV_WR_RDMA_READ, IBV_WR_ATOMIC_FETCH_AND_ADD, IBV_WR_ATOMIC_CMP_AND_SWP,
		IBV_WR_SEND_WITH_INV, IBV_WR_LOCAL_INV,
	};
	static const unsigned int known[] = {
		[IBV_QPT_RC] = 9, [IBV_QPT_UC] = 4, [IBV_QPT_UD] = 2,
	};
	const unsigned int end = odp_random(t->rnd, 2);
	const enum ibv_wr_opcode op = ops[odp_random(t->rnd, known[p->type])];
	const bool atomic = op == IBV_WR_ATOMIC_FETCH_AND_ADD || op == IBV_WR_ATOMIC_CMP_AND_SWP;
	const size_t length = atomic ? 8 : random_length(t);
	struct piece here = random_piece(t, p->device[end], length);
	struct piece there = random_piece(t, p->device[!end], length);
	struct ibv_send_wr *bad, wr = {
		.sg_list = &here.sge,
		.num_sge = op != IBV_WR_LOCAL_INV,
		.opcode = op,
		.send_flags = odp_random(t->rnd, 2) ? IBV_SEND_SIGNALED : 0,
	};

	if (p->type == IBV_QPT_UD) {
		if (!p->ah[end])
			return;
		here.sge.length = length < 1024 ? length : 1024;
		wr.wr.ud.ah = p->ah[end];
		wr.wr.ud.remote_qpn = p->qp[!end]->qp_num;
		wr.wr.ud.remote_qkey = QKEY;
	} else if (op == IBV_WR_LOCAL_INV) {
		wr.invalidate_rkey = here.rkey;
		ref_add(t, REF_INVALIDATED);
	} else if (op == IBV_WR_SEND_WITH_INV) {
		wr.invalidate_rkey = there.rkey;
		ref_add(t, REF_INVALIDATED);
	} else if (atomic) {
		wr.wr.atomic.remote_addr = there.sge.addr;
		wr.wr.atomic.rkey = there.rkey;
	} else {
		wr.wr.rdma.remote_addr = there.sge.addr;
		wr.wr.rdma.rkey = there.rkey;
	}
	if (!ibv_post_send(p->qp[end], &wr, &bad))
		ref_add(t, REF_POSTED);
}

static void post(struct ref_thread *t)
{
	struct ref_pair *p = take_pair(t);

	if (!p)
		return;
	for (unsigned long n = 1 + odp_random(t->rnd, 4); n; n--)
		send(t, p);
	let_pair_go(p);
}

static void bind_window(struct ref_thread *t, struct ref_window *w, struct ibv_qp *qp,
			struct ibv_mr *mr)
{
	const size_t offset = odp_random(t->rnd, REF_LEN / 2);
	struct ibv_mw_bind_info info = {
		.mr = mr,
		.addr = (uintptr_t)mr->addr + offset,
		.length = odp_random(t->rnd, 5) ? REF_LEN / 2 : 0,
		.mw_access_flags = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ,
	};
	struct ibv_mw_bind type1 = { .bind_info = info, .send_flags = IBV_SEND_SIGNALED };
	struct ibv_send_wr *bad, type2 = {
		.opcode = IBV_WR_BIND_MW,
		.send_flags = IBV_SEND_SIGNALED,
		.bind_mw = { .mw = w->mw, .rkey = ibv_inc_rkey(w->mw->rkey), .bind_info = info },
	};
	int err;

	if (w->mw->type == IBV_MW_TYPE_1) {
		err = ibv_bind_mw(qp, w->mw, &type1);
	} else {
		err = ibv_post_send(qp, &type2, &bad);
		if (!err)
			w->mw->rkey = type2.bind_mw.rkey;
	}
	if (err)
		return;
	ref_add(t, REF_BOUND);
	w->addr = info.addr;
	w->rkey = w->mw->rkey;
}

static void bind(struct ref_thread *t)
{
	struct ref_pair *p = take_pair(t);
	struct ref_region *r;
	struct ref_window *w;
	unsigned int end;

	if (!p)
		return;
	end = odp_random(t->rnd, 2);
	w = &t->world->windows[p->device[end]][odp_random(t->rnd, REF_MWS)];
	r = &t->world->regions[p->device[end]][odp_random(t->rnd, REF_MEMORIES)];
	if (p->type == IBV_QPT_RC && !pthread_mutex_trylock(&w->lock)) {
		if (w->mw && !pthread_mutex_trylock(&r->lock)) {
			if (r->mr)
				bind_window(t, w, p->qp[end], r->mr);
			pthread_mutex_unlock(&r->lock);
		}
		pthread_mutex_unlock(&w->lock);
	}
	let_pair_go(p);
}

/* A CQ of which nobody takes anything overflows. */
static void poll_cq(struct ref_thread *t)
{
	struct ref_pair *p = take_pair(t);
	struct ibv_wc wc[8];

	if (!p)
		return;
	for (unsigned int end = 0; end < 2; end++) {
		const int n = ibv_poll_cq(p->cq[end], 8, wc);

		for (int i = 0; i < n; i++)
			ref_add(t, !wc[i].status ? REF_DONE :
				wc[i].status == IBV_WC_WR_FLUSH_ERR ? REF_FLUSHED : REF_FAILED);
	}
	let_pair_go(p);
}

/* --- objects ------------------------------------------------------------------------------- */

static void change_state(struct ref_thread *t)
{
	static const enum ibv_qp_state states[] = { IBV_QPS_ERR, IBV_QPS_RESET, IBV_QPS_SQD };
	struct ibv_qp_attr attr = {
		.qp_state = states[odp_random(t->rnd, sizeof(states) / sizeof(states[0]))],
	};
	struct ref_pair *p = take_pair(t);

	if (!p)
		return;
	if (!REF_CALL(t, ibv_modify_qp, p->qp[odp_random(t->rnd, 2)], &attr, IBV_QP_STATE))
		ref_add(t, attr.qp_state == IBV_QPS_RESET ? REF_RESETS : REF_ERRORS);
	let_pair_go(p);
}

static void connect_again(struct ref_thread *t)
{
	struct ref_pair *p = take_pair(t);

	if (!p)
		return;
	if (!ref_connect_pair(t, p))
		ref_add(t, REF_RESETS);
	let_pair_go(p);
}

static void renew_pair(struct ref_thread *t)
{
	struct ref_pair *p = &t->world->pairs[odp_random(t->rnd, REF_PAIRS)];

	if (pthread_mutex_trylock(&p->lock))
		return;
	if (ref_free_pair(t, p))
		ref_make_pair(t, p);
	pthread_mutex_unlock(&p->lock);
}

static void renew_region(struct ref_thread *t)
{
	const unsigned int device = odp_random(t->rnd, REF_DEVICES);
	const unsigned int slot = odp_random(t->rnd, REF_MEMORIES);
	struct ref_region *r = &t->world->regions[device][slot];

	if (pthread_mutex_trylock(&r->lock))
		return;
	if (ref_free_region(t, r))
		ref_make_region(t, device, slot);
	pthread_mutex_unlock(&r->lock);
}

static void reregister(struct ref_thread *t)
{
	const unsigned int device = odp_random(t->rnd, REF_DEVICES);
	struct ref_region *r = &t->world->regions[device][odp_random(t->rnd, REF_MEMORIES)];
	struct ib_uverbs_rereg_mr rereg = {
		.flags = IBV_REREG_MR_CHANGE_ACCESS,
		.access_flags = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_MW_BIND |
				(odp_random(t->rnd, 2) ? IBV_ACCESS_REMOTE_WRITE : 0),
	};

	if (pthread_mutex_trylock(&r->lock))
		return;
	if (r->mr) {
		rereg.mr_handle = r->mr->handle;
		if (r->memory != REF_PINNED)
			rereg.access_flags |= IBV_ACCESS_ON_DEMAND;
		if (!REF_CALL(t, odp_rereg_mr, &t->world->devices[device], &rereg))
			ref_add(t, REF_REREGS);
	}
	pthread_mutex_unlock(&r->lock);
}

static void renew_window(struct ref_thread *t)
{
	const unsigned int device = odp_random(t->rnd, REF_DEVICES);
	struct ref_window *w = &t->world->windows[device][odp_random(t->rnd, REF_MWS)];

	if (pthread_mutex_trylock(&w->lock))
		return;
	if (ref_free_window(t, w))
		ref_make_window(t, device, w);
	pthread_mutex_unlock(&w->lock);
}

static void renew_srq(struct ref_thread *t)
{
	const unsigned int device = odp_random(t->rnd, REF_DEVICES);

	pthread_mutex_lock(&t->world->srq_lock);
	if (ref_free_srq(t, device))
		ref_make_srq(t, device);
	pthread_mutex_unlock(&t->world->srq_lock);
}

/*
 * Prefetches of a process that wait are in the way of its others: who has such ones does not
 * wait for any.
 */
static void advise(struct ref_thread *t)
{
	const bool held = t->world->prefetches_held, stuck = t->world->storm->stuck;
	const unsigned int device = odp_random(t->rnd, REF_DEVICES);
	const enum ref_memory memory = odp_random(t->rnd, held || stuck ? REF_PINNED : REF_HELD);
	const bool now = (!held || stuck) && odp_random(t->rnd, 2);
	struct ref_region *r = &t->world->regions[device][memory];
	struct ibv_sge sge = { r->addr, REF_LEN, r->key };

	if (!REF_CALL(t, ibv_advise_mr, t->world->devices[device].pd,
		      IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE, now ? IBV_ADVISE_MR_FLAG_FLUSH : 0,
		      &sge, 1))
		ref_add(t, REF_ADVISED);
}

/* --- memory ----------------------------------------------------------------------------------- */

static void take_memory(struct ref_thread *t)
{
	const size_t first = odp_random(t->rnd, REF_LEN / ODP_PAGE) * ODP_PAGE;
	const size_t len = ODP_PAGE * (1 + odp_random(t->rnd, (REF_LEN - first) / ODP_PAGE));
	struct ref_world *w = t->world;

	switch (odp_random(t->rnd, 4)) {
	case 0:
		REF_CALL(t, madvise, w->memory[REF_ANONYMOUS] + first, len, MADV_DONTNEED);
		break;
	case 1:
		REF_CALL(t, madvise, w->memory[REF_HELD] + first, len, MADV_DONTNEED);
		break;
	case 2:
		REF_CALL(t, fallocate, w->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, first,
			 len);
		break;
	case 3:
		REF_CALL(t, mmap, w->memory[REF_ANONYMOUS] + first, len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		break;
	}
}

static void rest(struct ref_thread *t)
{
	usleep(odp_random(t->rnd, 3000));
}

void *ref_work(void *arg)
{
	static const struct {
		void (*act)(struct ref_thread *t);
		unsigned int often;
	} acts[] = {
		{ post, 40 }, { receive, 20 }, { poll_cq, 15 }, { bind, 8 }, { connect_again, 8 },
		{ change_state, 4 }, { renew_pair, 5 }, { renew_region, 2 }, { reregister, 2 },
		{ renew_window, 3 }, { renew_srq, 2 }, { advise, 3 }, { take_memory, 5 },
		{ rest, 5 },
	};
	struct ref_thread *t = arg;
	unsigned int all = 0;

	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
		all += acts[i].often;
	while (!t->world->stop) {
		unsigned long n = odp_random(t->rnd, all);
		size_t i = 0;

		while (n >= acts[i].often)
			n -= acts[i++].often;
		acts[i].act(t);
	}
	return NULL;
}
