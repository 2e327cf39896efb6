// SPDX-License-Identifier: GPL-2.0
/*
 * What a peer reaches by the key of a memory window: each right, bounds to the byte, queue
 * pair and PD, rebinding and invalidation, for windows of both types.
 *
 * rxe_reach pinned | odp     the region that they are windows of
 */

#include <errno.h>

#include "lib/cases.h"
#include "lib/qp.h"
#include "lib/window.h"

#define LEN	(16 * ODP_PAGE)
#define START	(ODP_PAGE + 1000)	/* of the window; aligned to eight bytes */
#define SIZE	(5 * ODP_PAGE + 40)
#define ATOMIC	IBV_ACCESS_REMOTE_ATOMIC
#define READ	IBV_ACCESS_REMOTE_READ
#define WRITE	IBV_ACCESS_REMOTE_WRITE
#define FLUSH	IBV_ACCESS_FLUSH_GLOBAL
#define ALL	(READ | WRITE | ATOMIC | FLUSH)
#define OWNER	(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_MW_BIND)
#define DENIED	IBV_WC_REM_ACCESS_ERR
#define SHIFT	0x123456000ULL		/* from an address to an IOVA */

static const struct qp_options options = { .type = IBV_QPT_RC, .sges = 1 };

enum op { OP_READ, OP_WRITE, OP_ADD, OP_ATOMIC_WRITE, OP_FLUSH, OPS };

static const struct {
	const char *name;
	int right;
	size_t least;	/* bytes */
} ops[] = {
	[OP_READ] = { "READ", READ, 1 },
	[OP_WRITE] = { "WRITE", WRITE, 1 },
	[OP_ADD] = { "FETCH_ADD", ATOMIC, 8 },
	[OP_ATOMIC_WRITE] = { "ATOMIC_WRITE", WRITE, 8 },
	[OP_FLUSH] = { "FLUSH", FLUSH, 1 },
};

static struct {
	struct odp o, other_pd;
	struct odp pair, second, stranger;	/* stranger: of another PD */
	unsigned char *memory;
	struct ibv_mr *buffer, *strangers_buffer;
	int odp;
	bool bound;		/* a window of type 2 */
	const char *kind;
} t;

/* --- cases --- */

/* "type 2, pinned: …" */
static void report(const struct ibv_mw *mw, const char *what, enum ibv_wc_status got,
		   enum ibv_wc_status want)
{
	char name[200];

	snprintf(name, sizeof(name), "type %d, %s, %s", mw->type == IBV_MW_TYPE_1 ? 1 : 2,
		 t.kind, what);
	result_status(name, got, want);
}

/* Wrong bytes are a status of their own. */
static enum ibv_wc_status access_by(struct odp *pair, enum op op, uint32_t key, uint64_t va,
				    size_t len, size_t offset)
{
	struct ibv_mr *buffer = pair == &t.stranger ? t.strangers_buffer : t.buffer;
	struct odp_side local = odp_at(buffer, 0), remote = { va, key };
	unsigned char *at = t.memory + offset;
	enum ibv_wc_status status;
	static uint64_t stamp;
	bool right = true;

	odp_stamp(buffer->addr, LEN, ++stamp, 1);
	switch (op) {
	case OP_READ:
		status = odp_rdma(pair, IBV_WR_RDMA_READ, local, remote, len);
		break;
	case OP_WRITE:
		status = odp_rdma(pair, IBV_WR_RDMA_WRITE, local, remote, len);
		break;
	case OP_ADD:
		status = qp_atomic(pair, IBV_WR_ATOMIC_FETCH_AND_ADD, local, remote, 0, 1);
		break;
	case OP_ATOMIC_WRITE:
		status = qp_atomic_write(pair, remote, stamp);
		break;
	default:
		status = qp_flush(pair, remote, len, IBV_FLUSH_GLOBAL, IBV_FLUSH_RANGE);
		break;
	}
	if (!status && op <= OP_WRITE)
		right = !memcmp(buffer->addr, at, len);
	if (!status && op == OP_ATOMIC_WRITE)
		right = !memcmp(at, &stamp, sizeof(stamp));
	if (status)
		qp_connect(pair);
	return right ? status : IBV_WC_GENERAL_ERR;
}

static struct ibv_mr *region(struct odp *o, int access)
{
	return odp_reg(o, t.memory, LEN, access | t.odp);
}

static enum ibv_wc_status bind(struct odp *pair, struct ibv_mw *mw, struct ibv_mr *mr,
			       uint64_t addr, uint64_t len, int access)
{
	enum ibv_wc_status status = window_bind(pair, mw, mr, addr, len, access);

	/*
	 * A queue pair may fail for what came before a moment after it was connected anew;
	 * and C tells of a bind that failed as of one that was flushed.
	 */
	for (int i = 0; i < 3 && status == IBV_WC_WR_FLUSH_ERR; i++) {
		qp_connect(pair);
		status = window_bind(pair, mw, mr, addr, len, access);
	}
	if (status)
		qp_connect(pair);
	else
		t.bound = mw->type == IBV_MW_TYPE_2;
	return status;
}

/* Not what is free: C follows a NULL pointer then. */
static void unbind(struct ibv_mw *mw)
{
	if (t.bound && window_invalidate(&t.pair, mw->rkey))
		odp_die(0, "a window cannot be invalidated");
	t.bound = false;
}

static void must_bind(struct odp *pair, struct ibv_mw *mw, struct ibv_mr *mr, uint64_t addr,
		      uint64_t len, int access)
{
	enum ibv_wc_status status;

	unbind(mw);
	status = bind(pair, mw, mr, addr, len, access);
	if (status)
		odp_die(0, "a window cannot be bound: %s", ibv_wc_status_str(status));
}

/* --- rights --- */

static void rights(struct ibv_mw *mw)
{
	uint64_t base = (uintptr_t)t.memory + START;
	struct ibv_mr *mr = region(&t.o, OWNER | ALL);
	char what[100];

	for (unsigned int has = 0; has < OPS; has++) {
		if (has == OP_ATOMIC_WRITE)
			continue;
		must_bind(&t.pair, mw, mr, base, SIZE, ops[has].right);
		for (unsigned int op = 0; op < OPS; op++) {
			bool allowed = ops[op].right == ops[has].right;

			snprintf(what, sizeof(what), "allows %s only, %s", ops[has].name,
				 ops[op].name);
			report(mw, what, access_by(&t.pair, op, mw->rkey, base, 8, START),
			       allowed ? IBV_WC_SUCCESS : DENIED);
		}
	}
	if (mw->type == IBV_MW_TYPE_2)
		return;
	report(mw, "bound to nothing", bind(&t.pair, mw, mr, base, 0, 0), IBV_WC_SUCCESS);
	report(mw, "bound to nothing, READ",
	       access_by(&t.pair, OP_READ, mw->rkey, base, 8, START), DENIED);
}

/* Peers reach by a window what they do not by the region, but no more than its owner may. */
static void rights_of_region(struct ibv_mw *mw)
{
	uint64_t base = (uintptr_t)t.memory + START;
	struct ibv_mr *mr = region(&t.o, OWNER);
	struct ib_uverbs_rereg_mr rereg = {
		.mr_handle = mr->handle,
		.flags = IBV_REREG_MR_CHANGE_ACCESS,
		.start = (uintptr_t)t.memory,
		.length = LEN,
		.hca_va = (uintptr_t)t.memory,
		.pd_handle = t.o.pd->handle,
	};

	must_bind(&t.pair, mw, mr, base, SIZE, READ | WRITE | ATOMIC);
	report(mw, "of a region without remote rights, WRITE",
	       access_by(&t.pair, OP_WRITE, mw->rkey, base, 9, START), IBV_WC_SUCCESS);
	report(mw, "the region's own key, READ",
	       access_by(&t.pair, OP_READ, mr->rkey, base, 9, START), DENIED);
	rereg.access_flags = IBV_ACCESS_MW_BIND | t.odp;
	odp_rereg_mr(&t.o, &rereg);
	report(mw, "the region becomes read-only, WRITE",
	       access_by(&t.pair, OP_WRITE, mw->rkey, base, 9, START), DENIED);
	report(mw, "the region becomes read-only, FETCH_ADD",
	       access_by(&t.pair, OP_ADD, mw->rkey, base, 8, START), DENIED);
	rereg.flags = IBV_REREG_MR_CHANGE_PD;
	rereg.pd_handle = t.other_pd.pd->handle;
	odp_rereg_mr(&t.o, &rereg);
	report(mw, "the region goes to another PD, READ",
	       access_by(&t.pair, OP_READ, mw->rkey, base, 9, START), DENIED);
	unbind(mw);
	mr = region(&t.o, OWNER);
	report(mw, "a FLUSH that the region does not allow, bind",
	       bind(&t.pair, mw, mr, base, SIZE, FLUSH | READ), IBV_WC_MW_BIND_ERR);
}

/* --- bounds --- */

/* A window at offset START of memory, whose first byte is at va. */
static void bounds(struct ibv_mw *mw, const char *of, uint64_t va)
{
	const struct {
		const char *name;
		int64_t offset;
		uint64_t len;
		bool in;
	} at[] = {
		{ "first byte", 0, 1, true },
		{ "last byte", SIZE - 1, 1, true },
		{ "all", 0, SIZE, true },
		{ "a byte before", -1, 1, false },
		{ "a byte behind", SIZE, 1, false },
		{ "a byte too long", 0, SIZE + 1, false },
		{ "from a byte before", -1, 2, false },
		{ "over the end", SIZE - 1, 2, false },
		{ "far behind", SIZE + 3 * ODP_PAGE, 1, false },
	};
	static const enum op by_byte[] = { OP_READ, OP_WRITE, OP_FLUSH };
	char what[200];

	for (unsigned int i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		for (unsigned int j = 0; j < 3; j++) {
			snprintf(what, sizeof(what), "%s%s, %s", of, at[i].name,
				 ops[by_byte[j]].name);
			report(mw, what, access_by(&t.pair, by_byte[j], mw->rkey,
						   va + at[i].offset, at[i].len,
						   START + at[i].offset),
			       at[i].in ? IBV_WC_SUCCESS : DENIED);
		}
	for (enum op op = OP_ADD; op <= OP_ATOMIC_WRITE; op++)
		for (int64_t offset = -8; offset <= (int64_t)SIZE; offset += SIZE + 8) {
			snprintf(what, sizeof(what), "%seight bytes %s, %s", of,
				 offset < 0 ? "before" : "behind", ops[op].name);
			report(mw, what, access_by(&t.pair, op, mw->rkey, va + offset, 8,
						   START + offset), DENIED);
		}
	snprintf(what, sizeof(what), "%slast eight bytes, FETCH_ADD", of);
	report(mw, what, access_by(&t.pair, OP_ADD, mw->rkey, va + SIZE - 8, 8,
				   START + SIZE - 8), IBV_WC_SUCCESS);
}

static void bounds_of_all(struct ibv_mw *mw)
{
	uint64_t base = (uintptr_t)t.memory;
	struct ibv_mr *mr = region(&t.o, OWNER | ALL);

	must_bind(&t.pair, mw, mr, base + START, SIZE, ALL);
	bounds(mw, "", base + START);
	if (mw->type == IBV_MW_TYPE_2) {
		must_bind(&t.pair, mw, mr, base + START, SIZE, ALL | IBV_ACCESS_ZERO_BASED);
		bounds(mw, "from zero, ", 0);
		report(mw, "from zero, the window's address, READ",
		       access_by(&t.pair, OP_READ, mw->rkey, base + START, 1, START), DENIED);
		unbind(mw);
		report(mw, "from zero, a byte beyond the region, bind",
		       bind(&t.pair, mw, mr, base + LEN - SIZE + 1, SIZE,
			    READ | IBV_ACCESS_ZERO_BASED), IBV_WC_MW_BIND_ERR);
	}
	/* Bound elsewhere, it is there only. */
	must_bind(&t.pair, mw, mr, base + START + SIZE, 100, READ);
	report(mw, "bound anew, where it was, READ",
	       access_by(&t.pair, OP_READ, mw->rkey, base + START + SIZE - 1, 1,
			 START + SIZE - 1), DENIED);
	report(mw, "bound anew, where it is, READ",
	       access_by(&t.pair, OP_READ, mw->rkey, base + START + SIZE + 99, 1,
			 START + SIZE + 99), IBV_WC_SUCCESS);
	report(mw, "bound anew, by the old key, READ",
	       access_by(&t.pair, OP_READ, mw->rkey ^ 1, base + START + SIZE, 1,
			 START + SIZE), DENIED);
}

/* Addresses that peers use are others than the owner's, and may be the last there are. */
static void bounds_by_iova(struct ibv_mw *mw)
{
	uint64_t iova = (uintptr_t)t.memory + SHIFT, last = -(uint64_t)LEN;
	struct ibv_mr *mr = ibv_reg_mr_iova(t.o.pd, t.memory, LEN, iova, OWNER | ALL | t.odp);

	if (!mr)
		odp_die(errno, "ibv_reg_mr_iova");
	must_bind(&t.pair, mw, mr, iova + START, SIZE, ALL);
	bounds(mw, "another IOVA, ", iova + START);
	report(mw, "another IOVA, the owner's address, READ",
	       access_by(&t.pair, OP_READ, mw->rkey, (uintptr_t)t.memory + START, 1, START),
	       DENIED);
	mr = ibv_reg_mr_iova(t.o.pd, t.memory, LEN, last, OWNER | ALL | t.odp);
	if (!mr)
		odp_die(errno, "ibv_reg_mr_iova");
	unbind(mw);
	report(mw, "last IOVA, in the midst of the region, bind",
	       bind(&t.pair, mw, mr, last + START, SIZE, ALL), IBV_WC_SUCCESS);
	unbind(mw);
	report(mw, "last IOVA, over the end of all addresses, bind",
	       bind(&t.pair, mw, mr, last + START, LEN, ALL), IBV_WC_MW_BIND_ERR);
	unbind(mw);
	must_bind(&t.pair, mw, mr, last + LEN - 10, 10, ALL);
	report(mw, "last IOVA, last byte, READ",
	       access_by(&t.pair, OP_READ, mw->rkey, -1ULL, 1, LEN - 1), IBV_WC_SUCCESS);
	report(mw, "last IOVA, over the end, READ",
	       access_by(&t.pair, OP_READ, mw->rkey, -1ULL, 2, LEN - 1), DENIED);
	report(mw, "last IOVA, a byte before, READ",
	       access_by(&t.pair, OP_READ, mw->rkey, last + LEN - 11, 1, LEN - 11), DENIED);
}

/* --- queue pairs and PDs --- */

/* One who may not invalidates a window: how that ends, and whether the window is there still. */
static void may_not(struct ibv_mw *mw, struct ibv_mr *mr, struct odp *who, const char *what,
		    bool remote)
{
	enum ibv_wc_status (*const run)(const struct odp *pair, uint32_t key) =
		remote ? window_invalidate_remote : window_invalidate;
	uint64_t base = (uintptr_t)t.memory + START;
	enum ibv_wc_status status = run(who, mw->rkey);
	char then[200];

	qp_connect(who);
	report(mw, what, status, remote ? IBV_WC_REM_INV_REQ_ERR : IBV_WC_LOC_QP_OP_ERR);
	snprintf(then, sizeof(then), "%s, READ then", what);
	status = access_by(&t.pair, OP_READ, mw->rkey, base, 9, START);
	report(mw, then, status, IBV_WC_SUCCESS);
	if (!status)
		return;
	t.bound = false;
	must_bind(&t.pair, mw, mr, base, SIZE, ALL);
}

static void owners(struct ibv_mw *mw)
{
	bool type2 = mw->type == IBV_MW_TYPE_2;
	uint64_t base = (uintptr_t)t.memory + START;
	struct ibv_mr *mr = region(&t.o, OWNER | ALL);

	must_bind(&t.pair, mw, mr, base, SIZE, ALL);
	report(mw, "another queue pair, READ",
	       access_by(&t.second, OP_READ, mw->rkey, base, 9, START),
	       type2 ? DENIED : IBV_WC_SUCCESS);
	report(mw, "another PD, READ",
	       access_by(&t.stranger, OP_READ, mw->rkey, base, 9, START), DENIED);
	report(mw, "another PD, WRITE",
	       access_by(&t.stranger, OP_WRITE, mw->rkey, base, 9, START), DENIED);
	may_not(mw, mr, &t.second, "another queue pair invalidates", false);
	may_not(mw, mr, &t.stranger, "another PD invalidates", false);
	may_not(mw, mr, &t.second, "another queue pair's peer invalidates", true);
	may_not(mw, mr, &t.stranger, "another PD's peer invalidates", true);
	if (!type2) {
		may_not(mw, mr, &t.pair, "its own peer invalidates", true);
		return;
	}
	report(mw, "its own peer invalidates", window_invalidate_remote(&t.pair, mw->rkey),
	       IBV_WC_SUCCESS);
	report(mw, "its own peer invalidates, READ then",
	       access_by(&t.pair, OP_READ, mw->rkey, base, 9, START), DENIED);
	t.bound = false;
	must_bind(&t.pair, mw, mr, base, SIZE, ALL);
	report(mw, "invalidate", window_invalidate(&t.pair, mw->rkey), IBV_WC_SUCCESS);
	t.bound = false;
	report(mw, "invalidate, READ then",
	       access_by(&t.pair, OP_READ, mw->rkey, base, 9, START), DENIED);
}

/* --- all --- */

static void windows(enum ibv_mw_type type)
{
	static void (*const steps[])(struct ibv_mw *mw) = {
		rights, bounds_of_all, bounds_by_iova, owners, rights_of_region,
	};

	for (unsigned int i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct ibv_mw *mw = window_alloc(t.o.pd, type);

		t.bound = false;
		steps[i](mw);
		ibv_dealloc_mw(mw);
	}
}

int main(int argc, char **argv)
{
	if (argc != 2 || (strcmp(argv[1], "pinned") && strcmp(argv[1], "odp")))
		odp_die(0, "usage: rxe_reach pinned | odp");
	t.odp = strcmp(argv[1], "odp") ? 0 : IBV_ACCESS_ON_DEMAND;
	t.kind = t.odp ? "ODP" : "pinned";
	odp_open(&t.o);
	t.other_pd = t.o;
	t.other_pd.pd = ibv_alloc_pd(t.o.ctx);
	if (!t.other_pd.pd)
		odp_die(errno, "ibv_alloc_pd");
	qp_open(&t.pair, &t.o, options);
	qp_open(&t.second, &t.o, options);
	qp_open(&t.stranger, &t.other_pd, options);
	t.memory = odp_map(LEN);
	odp_stamp(t.memory, LEN, 0, 0);
	t.buffer = odp_reg(&t.o, odp_map(LEN), LEN, IBV_ACCESS_LOCAL_WRITE);
	t.strangers_buffer = odp_reg(&t.other_pd, odp_map(LEN), LEN, IBV_ACCESS_LOCAL_WRITE);
	windows(IBV_MW_TYPE_1);
	windows(IBV_MW_TYPE_2);
	return ODP_OK;
}
