// SPDX-License-Identifier: GPL-2.0
/*
 * What lib/wire_fuzz sends packets to: a process with memory of every kind and queue pairs
 * of every kind, which are the peer's at that address, and do what lines on stdin say.
 *
 * rxe_wire PROCESS ADDRESS odp|pinned    PROCESS: a number, ADDRESS: the peer's, of IPv4
 *
 * It prints "region NAME KEY ADDRESS LENGTH RIGHTS NUMBER" for each region, "pair NAME QPN
 * TYPE" for each queue pair, and "ok". The lines, each of which ends with an "ok":
 *
 *   reset PAIR STATE RQ_PSN SQ_PSN DEPTH   prints "was RQ_PSN": the one that was expected
 *   bind PAIR             its windows, anew: "window NAME KEY ADDRESS LENGTH RIGHTS" each
 *   post PAIR OPERATION KEY ADDRESS        a request to the peer; OPERATION: as below
 *   check                 "changed ..." for memory that is not what it was, "completed N M"
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/qp.h"
#include "lib/wire_memory.h"

#define DEPTH		16
#define MTU		IBV_MTU_256
#define ALL		(IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ | \
			 IBV_ACCESS_REMOTE_ATOMIC | IBV_ACCESS_FLUSH_GLOBAL | \
			 IBV_ACCESS_FLUSH_PERSISTENT)
#define READ_ONLY	IBV_ACCESS_REMOTE_READ
#define BIND_MS		20000

static struct pair {
	const char *name;
	enum ibv_qp_type type;
	bool with_srq;
	unsigned int access;
	const char *windows;	/* the region that its windows are in */
	struct ibv_qp *qp;
	struct ibv_cq *cq;
	struct ibv_mw *mw[3];
} pairs[] = {
	{ .name = "rc0", .type = IBV_QPT_RC, .access = ALL, .windows = "windows" },
	{ .name = "rc1", .type = IBV_QPT_RC, .access = ALL, .windows = "windows-odp" },
	{ .name = "rc2", .type = IBV_QPT_RC, .access = ALL },
	{ .name = "rc3", .type = IBV_QPT_RC, .access = ALL },
	{ .name = "rc-read", .type = IBV_QPT_RC, .access = READ_ONLY },
	{ .name = "rc-none", .type = IBV_QPT_RC },
	{ .name = "rc-srq0", .type = IBV_QPT_RC, .with_srq = true, .access = ALL },
	{ .name = "rc-srq1", .type = IBV_QPT_RC, .with_srq = true, .access = ALL },
	{ .name = "uc0", .type = IBV_QPT_UC, .access = IBV_ACCESS_REMOTE_WRITE },
	{ .name = "uc1", .type = IBV_QPT_UC },
	{ .name = "uc-srq", .type = IBV_QPT_UC, .with_srq = true,
	  .access = IBV_ACCESS_REMOTE_WRITE },
	{ .name = "ud0", .type = IBV_QPT_UD },
	{ .name = "ud-srq", .type = IBV_QPT_UD, .with_srq = true },
	/* Not the peer's */
	{ .name = "vault", .type = IBV_QPT_RC, .access = ALL, .windows = "vault" },
};

#define PAIRS	(sizeof(pairs) / sizeof(pairs[0]))

static const char *const states[] = {
	[IBV_QPS_RESET] = "RESET", [IBV_QPS_INIT] = "INIT", [IBV_QPS_RTR] = "RTR",
	[IBV_QPS_RTS] = "RTS", [IBV_QPS_SQD] = "SQD", [IBV_QPS_SQE] = "SQE", [IBV_QPS_ERR] = "ERR",
};

static struct odp o;
static struct wire_memory memory;
static struct ibv_srq *srq;
static union ibv_gid peer;
static unsigned long completed, succeeded;

static bool is_vault(const struct pair *p)
{
	return !strcmp(p->name, "vault");
}

static struct wire_region *either(const char *name, unsigned int number)
{
	char odp[32];

	snprintf(odp, sizeof(odp), "%s-odp", name);
	for (int i = 0; number % 2 && i < memory.regions; i++)
		if (!strcmp(memory.region[i].name, odp))
			return &memory.region[i];
	return wire_region(&memory, name);
}

static struct ibv_sge piece(const char *name, unsigned int number, size_t offset, size_t len)
{
	struct wire_region *r = either(name, number);

	return (struct ibv_sge){ (uintptr_t)r->map + r->start + offset, len, r->mr->lkey };
}

/* --- receives and completions ------------------------------------------------------------ */

/* Until the queue is full; one in eight is short. */
static void post_receives(struct pair *p)
{
	static unsigned int count;

	for (unsigned int i = 0; i < 2 * DEPTH; i++) {
		struct ibv_sge sges[] = {
			piece("inbox", count, count % 64 * 9, count % 8 ? 700 : 45),
			piece("inbox", count / 2, 5000 + count % 64 * 9, count % 8 ? 2000 : 0),
		};
		struct ibv_recv_wr wr = { .wr_id = count, .sg_list = sges, .num_sge = 2 }, *bad;

		if (p->with_srq ? ibv_post_srq_recv(srq, &wr, &bad) :
				  ibv_post_recv(p->qp, &wr, &bad))
			return;
		count++;
	}
}

static void drain(struct pair *p)
{
	struct ibv_async_event event;
	struct ibv_wc wc;

	while (ibv_poll_cq(p->cq, 1, &wc) > 0) {
		completed++;
		succeeded += wc.status == IBV_WC_SUCCESS;
	}
	while (!ibv_get_async_event(o.ctx, &event))
		ibv_ack_async_event(&event);
}

/* --- states ------------------------------------------------------------------------------- */

static int to_init(struct pair *p)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = 1,
		.qkey = QP_QKEY,
		.qp_access_flags = p->access,
	};

	return ibv_modify_qp(p->qp, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
			     (p->type == IBV_QPT_UD ? IBV_QP_QKEY : IBV_QP_ACCESS_FLAGS));
}

static int to_rtr(struct pair *p, uint32_t psn, unsigned int depth)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = MTU,
		.dest_qp_num = p->qp->qp_num,	/* tells whose packet it is */
		.rq_psn = psn,
		.max_dest_rd_atomic = depth,
		.min_rnr_timer = 1,
		.ah_attr = {
			.is_global = 1,
			.port_num = 1,
			.grh = { .dgid = peer, .sgid_index = o.gid_index, .hop_limit = 1 },
		},
	};
	int mask = IBV_QP_STATE;

	if (is_vault(p))
		attr.ah_attr.grh.dgid = o.gid;
	if (p->type != IBV_QPT_UD)
		mask |= IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN;
	if (p->type == IBV_QPT_RC)
		mask |= IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER;
	return ibv_modify_qp(p->qp, &attr, mask);
}

static int to_rts(struct pair *p, uint32_t psn, unsigned int depth)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTS,
		.sq_psn = psn,
		.timeout = 18,		/* 1 s */
		.retry_cnt = 1,
		.rnr_retry = 1,
		.max_rd_atomic = depth,
	};

	return ibv_modify_qp(p->qp, &attr, IBV_QP_STATE | IBV_QP_SQ_PSN |
			     (p->type != IBV_QPT_RC ? 0 : IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT |
			      IBV_QP_RNR_RETRY | IBV_QP_MAX_QP_RD_ATOMIC));
}

static int to_state(struct pair *p, enum ibv_qp_state state)
{
	struct ibv_qp_attr attr = { .qp_state = state };

	return ibv_modify_qp(p->qp, &attr, IBV_QP_STATE);
}

static int start(struct pair *p, enum ibv_qp_state state, uint32_t rq_psn, uint32_t sq_psn,
		 unsigned int depth)
{
	int err = to_state(p, IBV_QPS_RESET);

	drain(p);
	if (state == IBV_QPS_RESET || err)
		return err;
	err = to_init(p);
	if (err)
		return err;
	post_receives(p);
	if (state == IBV_QPS_INIT)
		return 0;
	err = to_rtr(p, rq_psn, depth);
	if (err || state == IBV_QPS_RTR)
		return err;
	err = to_rts(p, sq_psn, depth);
	if (err || state == IBV_QPS_RTS)
		return err;
	return to_state(p, state);
}

/* A pair that fails just now may do so amid this. */
static void reset(struct pair *p, const char *state, uint32_t rq_psn, uint32_t sq_psn,
		  unsigned int depth)
{
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;
	size_t wanted = 0;
	int err;

	while (wanted < sizeof(states) / sizeof(states[0]) && strcmp(states[wanted], state))
		wanted++;
	err = ibv_query_qp(p->qp, &attr, IBV_QP_RQ_PSN, &init);
	if (err)
		odp_die(err, "ibv_query_qp");
	printf("was %u\n", attr.rq_psn);
	for (int i = 0; i < 20; i++) {
		err = start(p, wanted, rq_psn, sq_psn, depth);
		if (!err)
			return;
		usleep(1000 << i % 4);
	}
	odp_die(err, "%s does not get to state %s", p->name, state);
}

/* --- windows ------------------------------------------------------------------------------ */

static bool done(struct pair *p, uint64_t id)
{
	struct ibv_wc wc;

	for (int ms = 0; ms < BIND_MS; ms++) {
		while (ibv_poll_cq(p->cq, 1, &wc) > 0)
			if (wc.wr_id == id)
				return wc.status == IBV_WC_SUCCESS;
		usleep(1000);
	}
	return false;
}

/* Of type 1 the first, of type 2 the others, the last one with addresses from 0 on. */
static void bind_window(struct pair *p, int number)
{
	struct wire_region *r = wire_region(&memory, p->windows);
	const bool is_zero = number == 2;
	const size_t offset = number ? WIRE_WINDOW_2 + (number - 1) * WIRE_WINDOW : WIRE_WINDOW_1;
	const unsigned int access = number ? ODP_RW & ~IBV_ACCESS_LOCAL_WRITE : READ_ONLY;
	const struct ibv_mw_bind_info info = {
		.mr = r->mr,
		.addr = (uintptr_t)r->map + offset,
		.length = WIRE_WINDOW,
		.mw_access_flags = access | (is_zero ? IBV_ACCESS_ZERO_BASED : 0),
	};
	struct ibv_mw *mw;
	int err;

	if (p->mw[number])
		ibv_dealloc_mw(p->mw[number]);
	mw = ibv_alloc_mw(p->qp->pd, number ? IBV_MW_TYPE_2 : IBV_MW_TYPE_1);
	p->mw[number] = mw;
	if (!mw)
		odp_die(errno, "ibv_alloc_mw");
	if (number) {
		struct ibv_send_wr wr = {
			.wr_id = 1000,
			.opcode = IBV_WR_BIND_MW,
			.send_flags = IBV_SEND_SIGNALED,
			.bind_mw = { mw, ibv_inc_rkey(mw->rkey), info },
		}, *bad;

		err = ibv_post_send(p->qp, &wr, &bad);
		mw->rkey = wr.bind_mw.rkey;
	} else {
		struct ibv_mw_bind wr = { 1000, IBV_SEND_SIGNALED, info };

		err = ibv_bind_mw(p->qp, mw, &wr);
	}
	if (err || !done(p, 1000))
		odp_die(err, "window %d of %s is not bound", number, r->name);
	printf("window %s:%d %u ", r->name, number, mw->rkey);
	printf("%lu %lu ", is_zero ? 0UL : (unsigned long)info.addr, WIRE_WINDOW);
	puts(is_vault(p) ? "x" : number ? "rw" : "r");
}

/* Only the queue pair that a window is bound to takes it away, and nobody else has this one. */
static bool window_lives(struct pair *p)
{
	struct wire_region *r = wire_region(&memory, "vault");
	const uintptr_t addr = (uintptr_t)r->map + WIRE_WINDOW_2;
	struct ibv_qp_ex *qp = ibv_qp_to_qp_ex(p->qp);

	ibv_wr_start(qp);
	qp->wr_id = 2000;
	qp->wr_flags = IBV_SEND_SIGNALED;
	ibv_wr_rdma_read(qp, p->mw[1]->rkey, addr);
	ibv_wr_set_sge(qp, r->mr->lkey, addr, 8);
	return !ibv_wr_complete(qp) && done(p, 2000);
}

/* --- requests to the peer ------------------------------------------------------------------ */

static void post(struct pair *p, const char *operation, uint32_t key, uint64_t addr)
{
	static unsigned int count;
	const struct ibv_sge from = piece("outbox", count, count % 100 * 8, 1 + count % 900);
	const struct ibv_sge to = piece("inbox", count, 8000 + count % 8 * 4, 1 + count % 900);
	struct ibv_qp_ex *qp = ibv_qp_to_qp_ex(p->qp);
	const struct ibv_sge *sge = &from;

	ibv_wr_start(qp);
	qp->wr_flags = IBV_SEND_SIGNALED;
	if (!strcmp(operation, "send")) {
		ibv_wr_send(qp);
	} else if (!strcmp(operation, "write")) {
		ibv_wr_rdma_write(qp, key, addr);
	} else if (!strcmp(operation, "write-imm")) {
		ibv_wr_rdma_write_imm(qp, key, addr, 17);
	} else if (!strcmp(operation, "read")) {
		ibv_wr_rdma_read(qp, key, addr);
		sge = &to;
	} else if (!strcmp(operation, "fetch-add")) {
		ibv_wr_atomic_fetch_add(qp, key, addr, 3);
		sge = &to;
	} else if (!strcmp(operation, "atomic-write")) {
		ibv_wr_atomic_write(qp, key, addr, "8 bytes");
		sge = NULL;
	} else {
		ibv_wr_flush(qp, key, addr, 64, IBV_FLUSH_GLOBAL, IBV_FLUSH_RANGE);
		sge = NULL;
	}
	if (sge)
		ibv_wr_set_sge(qp, sge->lkey, sge->addr,
			       strcmp(operation, "fetch-add") ? sge->length : 8);
	/* A full queue is no error: the peer may not answer. */
	if (!ibv_wr_complete(qp))
		count++;
}

/* --- the beginning, and lines --------------------------------------------------------------- */

static void make_pair(struct pair *p, struct ibv_pd *pd)
{
	struct ibv_qp_init_attr_ex init = {
		.qp_type = p->type,
		.srq = p->with_srq ? srq : NULL,
		.cap = {
			.max_send_wr = DEPTH, .max_recv_wr = DEPTH,
			.max_send_sge = 1, .max_recv_sge = 2,
		},
		.comp_mask = IBV_QP_INIT_ATTR_PD | IBV_QP_INIT_ATTR_SEND_OPS_FLAGS,
		.pd = pd,
		.send_ops_flags = IBV_QP_EX_WITH_SEND,
	};

	if (p->type == IBV_QPT_RC)
		init.send_ops_flags |= IBV_QP_EX_WITH_RDMA_WRITE | IBV_QP_EX_WITH_RDMA_READ |
			IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM | IBV_QP_EX_WITH_FLUSH |
			IBV_QP_EX_WITH_ATOMIC_FETCH_AND_ADD | IBV_QP_EX_WITH_ATOMIC_WRITE |
			IBV_QP_EX_WITH_BIND_MW;
	p->cq = ibv_create_cq(o.ctx, 64 * DEPTH, NULL, NULL, 0);
	if (!p->cq)
		odp_die(errno, "ibv_create_cq");
	init.send_cq = p->cq;
	init.recv_cq = p->cq;
	p->qp = ibv_create_qp_ex(o.ctx, &init);
	if (!p->qp)
		odp_die(errno, "ibv_create_qp_ex");
	printf("pair %s %u %d\n", p->name, p->qp->qp_num, p->type);
}

static void make(bool with_odp, unsigned int process)
{
	struct ibv_srq_init_attr init = { .attr = { .max_wr = 2 * DEPTH, .max_sge = 2 } };
	struct ibv_pd *vault = ibv_alloc_pd(o.ctx);

	if (!vault)
		odp_die(errno, "ibv_alloc_pd");
	srq = ibv_create_srq(o.pd, &init);
	if (!srq)
		odp_die(errno, "ibv_create_srq");
	fcntl(o.ctx->async_fd, F_SETFL, O_NONBLOCK);
	wire_memory_make(&memory, &o, vault, with_odp, process);
	for (int i = 0; i < memory.regions; i++) {
		const struct wire_region *r = &memory.region[i];

		printf("region %s %u %lu %zu .%s %d\n", r->name, r->mr->rkey,
		       (unsigned long)r->map + r->start, r->len, r->rights, r->number);
	}
	for (size_t i = 0; i < PAIRS; i++)
		make_pair(&pairs[i], is_vault(&pairs[i]) ? vault : o.pd);
}

static void obey(const char *line)
{
	char word[16], name[16], what[16];
	unsigned int a, b, c;
	unsigned long addr;
	struct pair *p = pairs;
	int n = sscanf(line, "%15s %15s", word, name);

	while (n == 2 && p < pairs + PAIRS && strcmp(p->name, name))
		p++;
	if (n < 1 || p == pairs + PAIRS)
		odp_die(0, "what is \"%s\"?", line);
	drain(p);
	if (sscanf(line, "reset %*s %15s %u %u %u", what, &a, &b, &c) == 4) {
		reset(p, what, a, b, c);
	} else if (sscanf(line, "post %*s %15s %u %lu", what, &a, &addr) == 3) {
		post(p, what, a, addr);
	} else if (!strcmp(word, "bind") && p->windows) {
		for (int i = 0; i < 3; i++)
			bind_window(p, i);
	} else if (!strcmp(word, "check")) {
		wire_memory_changed(&memory);
		if (!window_lives(&pairs[PAIRS - 1]))
			puts("changed vault:1");
		wire_memory_zap(&memory);
		printf("completed %lu %lu\n", completed, succeeded);
	} else {
		odp_die(0, "what is \"%s\"?", line);
	}
	puts("ok");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char line[100];

	if (argc != 4)
		odp_die(0, "usage: rxe_wire PROCESS ADDRESS odp|pinned");
	peer.raw[10] = 0xff;
	peer.raw[11] = 0xff;
	if (inet_pton(AF_INET, argv[2], peer.raw + 12) != 1)
		odp_die(0, "%s is no address", argv[2]);
	odp_open(&o);
	make(!strcmp(argv[3], "odp"), atoi(argv[1]));
	puts("ok");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		obey(line);
	return ODP_OK;
}
