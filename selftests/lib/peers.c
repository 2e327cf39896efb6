// SPDX-License-Identifier: GPL-2.0
/* The peers of a storm and the owner's threads that answer them, see storm.h */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "qp.h"
#include "storm.h"

#define MOST_BLOCKS	12	/* of a message */
#define MOST_OPS	4	/* under way at a time */
#define POLLS		100	/* before it is looked for a completion less often */
#define LAST_MS		300	/* how long a peer waits for an owner that has gone */

/* What a peer wants the owner to do. */
struct order {
	enum { CONNECT, GATHER, LAND } what;
	uint32_t qp_num;
	struct odp_side buffer;		/* the peer's */
	size_t offset, len;		/* in the owner's memory */
};

struct answer {
	uint32_t qp_num;
	struct odp_side memory;
	enum ibv_wc_status status;
};

/* --- the owner's side ----------------------------------------------------------------- */

struct server {
	struct storm *storm;
	struct odp pair;
	struct ibv_mr *mr;
	unsigned char *addr;
	int socket;
};

static bool tell(int socket, const void *what, size_t len)
{
	return send(socket, what, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static bool hear(int socket, void *what, size_t len)
{
	return recv(socket, what, len, MSG_WAITALL) == (ssize_t)len;
}

static void reset(struct ibv_qp *qp)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RESET };
	struct ibv_wc wc;

	/* rxe may move it to the error state a moment after it reports the error */
	for (int i = 0; i < 2; i++)
		if (ibv_modify_qp(qp, &attr, IBV_QP_STATE))
			odp_die(errno, "ibv_modify_qp to RESET");
	while (ibv_poll_cq(qp->send_cq, 1, &wc) > 0)
		;
}

static void answer(struct server *s, const struct order *order)
{
	const struct odp_side memory = { (uintptr_t)s->addr + order->offset, s->mr->lkey };
	struct answer a = {
		.qp_num = s->pair.qp->qp_num,
		.memory = { (uintptr_t)s->addr, s->mr->rkey },
	};

	if (order->what == CONNECT) {
		reset(s->pair.qp);
		odp_connect_to(&s->pair, s->pair.qp, order->qp_num);
	} else {
		a.status = odp_rdma(&s->pair, order->what == GATHER ? IBV_WR_RDMA_WRITE :
				    IBV_WR_RDMA_READ, memory, order->buffer, order->len);
	}
	tell(s->socket, &a, sizeof(a));
}

static void *serve(void *arg)
{
	struct server *s = arg;
	struct order order;

	while (hear(s->socket, &order, sizeof(order)))
		answer(s, &order);
	return NULL;
}

void peers_serve(struct storm *s, struct odp *o, struct ibv_mr *mr, unsigned char *addr,
		 const int sockets[STORM_PEERS])
{
	static struct server servers[STORM_PEERS];
	pthread_t thread;

	for (int i = 0; i < STORM_PEERS; i++) {
		servers[i] = (struct server){ .storm = s, .mr = mr, .addr = addr,
					      .socket = sockets[i] };
		qp_open(&servers[i].pair, o,
			(struct qp_options){ .type = IBV_QPT_RC, .sges = 1 });
		if (pthread_create(&thread, NULL, serve, &servers[i]))
			odp_die(0, "pthread_create");
	}
}

/* --- the peers' side -------------------------------------------------------------------- */

struct peer {
	struct storm *storm;
	struct odp o;
	struct ibv_mr *buffer;
	struct odp_side memory;		/* the owner's */
	unsigned short rnd[3];
	int index, socket;
	bool swept;
};

/* One message. */
struct op {
	bool writes;
	size_t block, blocks;
	uint64_t from;
	unsigned int events[MOST_BLOCKS];
	unsigned char *at;
	enum ibv_wc_status status;
};

static const char *const kind_name[4] = {
	"RDMA READ", "RDMA WRITE", "RDMA WRITE from ODP memory", "RDMA READ into ODP memory",
};

static bool ask(struct peer *p, const struct order *order, struct answer *a)
{
	return tell(p->socket, order, sizeof(*order)) && hear(p->socket, a, sizeof(*a));
}

/* False if the owner is no more. */
static bool connect_again(struct peer *p)
{
	struct order order = { .what = CONNECT, .qp_num = p->o.qp->qp_num };
	struct answer a;

	reset(p->o.qp);
	if (!ask(p, &order, &a))
		return false;
	p->memory = a.memory;
	odp_connect_to(&p->o, p->o.qp, a.qp_num);
	atomic_fetch_add(&p->storm->reconnects, 1);
	return true;
}

static struct odp_side at_block(struct odp_side memory, size_t block)
{
	return (struct odp_side){ memory.addr + block * HISTORY_BLOCK, memory.key };
}

/* Some blocks, of which a writer gets those in a row that are nobody else's. */
static bool choose(struct peer *p, struct op *op)
{
	struct storm *s = p->storm;
	const size_t end = s->pages * HISTORY_BLOCKS;
	size_t want = s->starts_only ? 1 : 1 + odp_random(p->rnd, MOST_BLOCKS);

	op->block = storm_page(s, p->rnd) * HISTORY_BLOCKS;
	if (!s->starts_only)
		op->block += odp_random(p->rnd, HISTORY_BLOCKS);
	if (want > end - op->block)
		want = end - op->block;
	op->blocks = want;
	if (!op->writes)
		return true;
	for (op->blocks = 0; op->blocks < want; op->blocks++)
		if (!history_try_own(s->history, op->block + op->blocks))
			break;
	return op->blocks > 0;
}

static void begin(struct peer *p, struct op *op)
{
	struct storm *s = p->storm;

	if (!op->writes)
		memset(op->at, 0xee, op->blocks * HISTORY_BLOCK);
	for (size_t i = 0; op->writes && i < op->blocks; i++) {
		const uint64_t stamp = history_stamp(s->history);

		history_fill(op->at + i * HISTORY_BLOCK, op->block + i, stamp);
		op->events[i] = history_begin(s->history, op->block + i, HISTORY_WRITE, stamp);
	}
	op->from = history_now(s->history);
}

static bool any_page(struct storm *s, const struct op *op, uint64_t to,
		     bool (*is)(struct history *, size_t, enum history_access, uint64_t,
				uint64_t))
{
	const enum history_access access = op->writes ? HISTORY_WRITES : HISTORY_READS;
	const size_t last = (op->block + op->blocks - 1) / HISTORY_BLOCKS;

	for (size_t page = op->block / HISTORY_BLOCKS; page <= last; page++)
		if (is(s->history, page, access, op->from, to))
			return true;
	return false;
}

static void explain(struct storm *s, enum history_verdict verdict, const char *what,
		    const struct op *op, uint64_t to)
{
	char text[200];

	snprintf(text, sizeof(text), "%zu blocks from %zu on, from %lu to %lu: %s",
		 op->blocks, op->block, op->from, to, ibv_wc_status_str(op->status));
	storm_verdict(s, verdict, what, text);
}

/* It has ended well. */
static void judge(struct peer *p, const char *what, struct op *op, uint64_t to)
{
	struct storm *s = p->storm;

	if (any_page(s, op, to, history_must_fail))
		explain(s, HISTORY_REACHED, what, op, to);
	if (!op->writes)
		storm_judge(s, what, op->block, op->blocks, op->at, op->from, to);
	for (size_t i = 0; op->writes && i < op->blocks; i++) {
		history_end(s->history, op->block + i, op->events[i], true);
		history_disown(s->history, op->block + i);
		storm_verdict(s, HISTORY_RIGHT, what, NULL);
	}
}

static void judge_error(struct peer *p, const char *what, struct op *op)
{
	const uint64_t to = history_now(p->storm->history);
	struct storm *s = p->storm;

	atomic_fetch_add(&s->errors, 1);
	if (!any_page(s, op, to, history_could_fail) && atomic_load(&s->phase) < STORM_ENDS)
		explain(s, HISTORY_REFUSED, what, op, to);
}

/* After an error, when nothing is under way any more: it may have written or not. */
static void give_up(struct peer *p, struct op *op)
{
	for (size_t i = 0; op->writes && i < op->blocks; i++) {
		history_end(p->storm->history, op->block + i, op->events[i], false);
		history_disown(p->storm->history, op->block + i);
	}
}

/* False if the owner has gone, and nothing comes any more. */
static bool wait_for(struct peer *p, struct ibv_wc *wc)
{
	struct timespec t, end = {};

	for (unsigned int i = 0; ; i++) {
		if (ibv_poll_cq(p->o.cq, 1, wc) > 0)
			return true;
		if (!storm_phase_is(p->storm, STORM_OVER)) {
			/* Others want the processors too */
			if (i > POLLS)
				usleep(50);
			else
				sched_yield();
			continue;
		}
		clock_gettime(CLOCK_MONOTONIC, &t);
		if (!end.tv_sec)
			end = t;
		if ((t.tv_sec - end.tv_sec) * 1000 + (t.tv_nsec - end.tv_nsec) / 1000000 >
		    LAST_MS)
			return false;
		usleep(1000);
	}
}

static void post(struct peer *p, struct op *op, size_t i)
{
	const struct odp_side remote = at_block(p->memory, op->block);
	struct ibv_sge sge = { (uintptr_t)op->at, op->blocks * HISTORY_BLOCK,
			       p->buffer->lkey };
	struct ibv_send_wr wr = {
		.wr_id = i,
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = op->writes ? IBV_WR_RDMA_WRITE : IBV_WR_RDMA_READ,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = { .remote_addr = remote.addr, .rkey = remote.key },
	};

	begin(p, op);
	odp_post(&p->o, &wr);
}

/* Several messages at a time. False when it is over. */
static bool remote_ops(struct peer *p, struct op *ops, size_t count)
{
	size_t done, failed = count;
	struct ibv_wc wc;

	for (size_t i = 0; i < count; i++)
		post(p, &ops[i], i);
	for (done = 0; done < count; done++) {
		if (!wait_for(p, &wc))
			return false;
		ops[wc.wr_id].status = wc.status;
		if (wc.status && wc.wr_id < failed)
			failed = wc.wr_id;
		if (!wc.status)
			judge(p, kind_name[ops[wc.wr_id].writes], &ops[wc.wr_id],
			      history_now(p->storm->history));
	}
	atomic_fetch_add(&p->storm->ops, failed);
	if (failed == count)
		return true;
	/* Those behind it were flushed */
	judge_error(p, kind_name[ops[failed].writes], &ops[failed]);
	if (!connect_again(p))
		return false;
	for (size_t i = failed; i < count; i++)
		give_up(p, &ops[i]);
	return true;
}

/* The owner's memory is the local side, and the owner the requester. */
static bool local_op(struct peer *p, struct op *op)
{
	const char *what = kind_name[2 + op->writes];
	struct order order = {
		.what = op->writes ? LAND : GATHER,
		.buffer = { (uintptr_t)op->at, p->buffer->rkey },
		.offset = op->block * HISTORY_BLOCK,
		.len = op->blocks * HISTORY_BLOCK,
	};
	struct answer a;

	begin(p, op);
	if (!ask(p, &order, &a))
		return false;
	op->status = a.status;
	if (!a.status) {
		atomic_fetch_add(&p->storm->ops, 1);
		judge(p, what, op, history_now(p->storm->history));
		return true;
	}
	judge_error(p, what, op);
	if (!connect_again(p))
		return false;
	give_up(p, op);
	return true;
}

static bool work(struct peer *p)
{
	const bool local = odp_random(p->rnd, 5) == 0;
	const size_t most = local ? 1 : 1 + odp_random(p->rnd, MOST_OPS);
	struct op ops[MOST_OPS] = {};
	size_t count = 0;

	for (size_t i = 0; i < most; i++) {
		struct op *op = &ops[count];

		op->writes = odp_random(p->rnd, 5) < 2;
		op->at = (unsigned char *)p->buffer->addr + i * MOST_BLOCKS * HISTORY_BLOCK;
		count += choose(p, op);
	}
	if (!count)
		return true;
	return local ? local_op(p, &ops[0]) : remote_ops(p, ops, count);
}

/* All memory once, each peer his part. */
static bool sweep(struct peer *p)
{
	struct storm *s = p->storm;
	const size_t step = s->starts_only ? HISTORY_BLOCKS : 8;
	const size_t part = s->pages * HISTORY_BLOCKS / STORM_PEERS;

	for (size_t i = 0; i + step <= part; i += step) {
		struct op op = { .block = p->index * part + i,
				 .blocks = s->starts_only ? 1 : step,
				 .at = p->buffer->addr };

		if (!remote_ops(p, &op, 1))
			return false;
	}
	p->swept = true;
	atomic_fetch_add(&s->rested, 1);
	return true;
}

static void *run(void *arg)
{
	struct peer *p = arg;
	const size_t len = MOST_OPS * MOST_BLOCKS * HISTORY_BLOCK;
	bool goes_on;

	odp_open(&p->o);
	p->buffer = odp_reg(&p->o, odp_map(len), len, ODP_RW);
	goes_on = connect_again(p);
	while (goes_on && !storm_phase_is(p->storm, STORM_OVER)) {
		if (storm_phase_is(p->storm, STORM_RESTS) && !p->swept)
			goes_on = sweep(p);
		else
			goes_on = work(p);
	}
	return NULL;
}

void peers_run(struct storm *s, const int sockets[STORM_PEERS])
{
	static struct peer peers[STORM_PEERS];
	pthread_t threads[STORM_PEERS];

	for (int i = 0; i < STORM_PEERS; i++) {
		peers[i] = (struct peer){ .storm = s, .index = i, .socket = sockets[i],
					  .rnd = { s->seed[0], s->seed[1], s->seed[2] + i } };
		if (pthread_create(&threads[i], NULL, run, &peers[i]))
			odp_die(0, "pthread_create");
	}
	for (int i = 0; i < STORM_PEERS; i++)
		pthread_join(threads[i], NULL);
	fflush(stdout);
	_exit(ODP_OK);
}
