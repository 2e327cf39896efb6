// SPDX-License-Identifier: GPL-2.0
/*
 * Memory windows of both types, and ibv_rereg_mr: the same steps on a pinned
 * region and on an ODP region, whose pages are taken away time and again. Every
 * status must be the same, and bytes must move where the status says so.
 *
 * Shows what differs, with VERBOSE=1 every step.
 */

#include <errno.h>
#include <rdma/ib_user_verbs.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/qp.h"
#include "lib/window.h"

#define LEN	(64 * ODP_PAGE)
#define START	5000UL		/* of the window in the region */
#define SIZE	(20 * ODP_PAGE + 72)
#define ALL	(ODP_RW | IBV_ACCESS_REMOTE_ATOMIC | IBV_ACCESS_MW_BIND)
#define REMOTE	(IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ | \
		 IBV_ACCESS_REMOTE_ATOMIC)
#define READ_ONLY IBV_ACCESS_REMOTE_READ
#define CHUNK	6000UL
#define STEPS	128

static const struct qp_options options = { .type = IBV_QPT_RC, .sges = 1 };

struct result {
	const char *what;
	int value;		/* a status of work, or an errno */
	bool is_status, right;
};

struct run {
	struct odp *o, pair, back;	/* back: the pair, seen from the peer */
	unsigned char *addr;
	struct ibv_mr *mr, *buffer;
	int odp;
	struct result result[STEPS];
	unsigned int steps;
};

static struct result *note(struct run *r, const char *what, int value,
			   bool is_status, bool right)
{
	if (r->steps == STEPS)
		odp_die(0, "too many steps");
	r->result[r->steps] = (struct result){ what, value, is_status, right };
	return &r->result[r->steps++];
}

static void note_errno(struct run *r, const char *what, int err)
{
	note(r, what, err, false, true);
}

static void note_status(struct run *r, const char *what,
			enum ibv_wc_status status)
{
	if (status)
		qp_connect(&r->pair);
	note(r, what, status, true, true);
}

/* --- access by a key --- */

static void take_away(struct run *r)
{
	if (r->odp)
		madvise(r->addr, LEN, MADV_DONTNEED);
}

/* WRITE to the region: all bytes if it succeeds, none if not. */
static void write_to(struct run *r, const char *what, uint32_t rkey,
		     uint64_t remote, size_t offset, size_t len)
{
	static unsigned char model[LEN];
	static uint64_t stamp;
	enum ibv_wc_status status;

	take_away(r);
	odp_stamp(r->buffer->addr, CHUNK, ++stamp, 1);
	memcpy(model, r->addr, LEN);
	take_away(r);
	status = odp_rdma(&r->pair, IBV_WR_RDMA_WRITE, odp_at(r->buffer, 0),
			  (struct odp_side){ remote, rkey }, len);
	if (!status)
		memcpy(model + offset, r->buffer->addr, len);
	note_status(r, what, status);
	r->result[r->steps - 1].right = !memcmp(r->addr, model, LEN);
}

static void read_from(struct run *r, const char *what, uint32_t rkey,
		      uint64_t remote, size_t offset, size_t len)
{
	unsigned char *buffer = r->buffer->addr;
	enum ibv_wc_status status;
	unsigned char first;

	odp_stamp(r->addr, LEN, offset, len);
	memset(buffer, 0xa5, CHUNK);
	first = buffer[0];
	status = odp_rdma(&r->pair, IBV_WR_RDMA_READ, odp_at(r->buffer, 0),
			  (struct odp_side){ remote, rkey }, len);
	note_status(r, what, status);
	r->result[r->steps - 1].right = status ? buffer[0] == first :
					!memcmp(buffer, r->addr + offset, len);
}

static void add_to(struct run *r, const char *what, uint32_t rkey, size_t offset)
{
	uint64_t before, after;
	enum ibv_wc_status status;

	memcpy(&before, r->addr + offset, 8);
	status = qp_atomic(&r->pair, IBV_WR_ATOMIC_FETCH_AND_ADD,
			   odp_at(r->buffer, 0),
			   (struct odp_side){ (uintptr_t)r->addr + offset, rkey },
			   0, 1000);
	note_status(r, what, status);
	memcpy(&after, r->addr + offset, 8);
	r->result[r->steps - 1].right = after == before + (status ? 0 : 1000);
}

/* All over a window of addresses, at its ends and beyond them. */
static void access_window(struct run *r, uint32_t rkey)
{
	uint64_t base = (uintptr_t)r->addr;

	write_to(r, "WRITE: start", rkey, base + START, START, CHUNK);
	write_to(r, "WRITE: end", rkey, base + START + SIZE - CHUNK,
		 START + SIZE - CHUNK, CHUNK);
	write_to(r, "WRITE: middle", rkey, base + 9 * ODP_PAGE + 77,
		 9 * ODP_PAGE + 77, CHUNK);
	write_to(r, "WRITE: a byte before", rkey, base + START - 1, START - 1, 1);
	write_to(r, "WRITE: a byte behind", rkey, base + START + SIZE,
		 START + SIZE, 1);
	write_to(r, "WRITE: before the region", rkey, base - 1, 0, 1);
	write_to(r, "WRITE: behind the region", rkey, base + LEN, 0, 1);
	read_from(r, "READ: start", rkey, base + START, START, CHUNK);
	read_from(r, "READ: behind the region", rkey, base + LEN - 1, LEN - 1, 2);
	add_to(r, "FETCH_ADD", rkey, 8 * ODP_PAGE + 8);
}

/* --- windows --- */

static enum ibv_wc_status bind_type1(struct run *r, struct ibv_mw *mw,
				     size_t offset, size_t len, int access)
{
	struct ibv_mw_bind bind = {
		.send_flags = IBV_SEND_SIGNALED,
		.bind_info = {
			.mr = r->mr,
			.addr = (uintptr_t)r->addr + offset,
			.length = len,
			.mw_access_flags = access,
		},
	};
	int err = ibv_bind_mw(r->back.qp, mw, &bind);

	if (err) {
		note_errno(r, "ibv_bind_mw", err);
		return IBV_WC_GENERAL_ERR;
	}
	return odp_wait_wc(&r->back).status;
}

static enum ibv_wc_status bind_type2(struct run *r, struct ibv_mw *mw,
				     uint64_t addr, size_t len, int access)
{
	return window_bind(&r->pair, mw, r->mr, addr, len, access);
}

static enum ibv_wc_status invalidate(struct run *r, uint32_t rkey)
{
	return window_invalidate(&r->pair, rkey);
}

static struct ibv_mw *alloc(struct run *r, enum ibv_mw_type type)
{
	struct ibv_mw *mw = ibv_alloc_mw(r->o->pd, type);

	if (!mw)
		odp_die(errno, "ibv_alloc_mw");
	return mw;
}

static void type1(struct run *r)
{
	struct ibv_mw *mw = alloc(r, IBV_MW_TYPE_1);
	uint32_t old;

	note_status(r, "type 1: bind", bind_type1(r, mw, START, SIZE, REMOTE));
	access_window(r, mw->rkey);
	note_errno(r, "deregister a region with a window", ibv_dereg_mr(r->mr));
	old = mw->rkey;
	note_status(r, "type 1: bind anew, read-only",
		    bind_type1(r, mw, START, SIZE, READ_ONLY));
	access_window(r, mw->rkey);
	read_from(r, "READ by the old key", old, (uintptr_t)r->addr + START, START, 9);
	note_status(r, "type 1: out of the region",
		    bind_type1(r, mw, LEN - SIZE + 1, SIZE, REMOTE));
	note_status(r, "type 1: unbind", bind_type1(r, mw, 0, 0, 0));
	read_from(r, "READ after that", mw->rkey, (uintptr_t)r->addr + START, START, 9);
	note_errno(r, "type 1: dealloc", ibv_dealloc_mw(mw));
}

static void type2(struct run *r)
{
	uint64_t base = (uintptr_t)r->addr;
	struct ibv_mw *mw = alloc(r, IBV_MW_TYPE_2);

	note_status(r, "type 2: bind", bind_type2(r, mw, base + START, SIZE, REMOTE));
	access_window(r, mw->rkey);
	note_status(r, "type 2: bind while bound",
		    bind_type2(r, mw, base + START, SIZE, REMOTE));
	note_status(r, "type 2: invalidate", invalidate(r, mw->rkey));
	read_from(r, "READ after that", mw->rkey, base + START, START, 9);
	note_status(r, "type 2: bind anew, read-only",
		    bind_type2(r, mw, base + START, SIZE, READ_ONLY));
	access_window(r, mw->rkey);
	note_status(r, "type 2: invalidate", invalidate(r, mw->rkey));
	note_status(r, "type 2: a byte too long",
		    bind_type2(r, mw, base + LEN - SIZE + 1, SIZE, REMOTE));
	note_status(r, "type 2: nothing", bind_type2(r, mw, base, 0, REMOTE));
	note_status(r, "type 2: from zero",
		    bind_type2(r, mw, base + START, SIZE,
			       REMOTE | IBV_ACCESS_ZERO_BASED));
	write_to(r, "WRITE to zero", mw->rkey, 0, START, CHUNK);
	write_to(r, "WRITE to 3000", mw->rkey, 3000, START + 3000, CHUNK);
	note_errno(r, "type 2: dealloc while bound", ibv_dealloc_mw(mw));
}

static void may_not_bind(struct run *r)
{
	struct ibv_mr *all = r->mr;
	struct ibv_mw *mw = alloc(r, IBV_MW_TYPE_2);

	r->mr = odp_reg(r->o, r->addr, LEN, (ODP_RW & ~IBV_ACCESS_LOCAL_WRITE &
				~IBV_ACCESS_REMOTE_WRITE) | r->odp);
	note_status(r, "bind to a region that does not allow it",
		    bind_type2(r, mw, (uintptr_t)r->addr, LEN, READ_ONLY));
	ibv_dereg_mr(r->mr);
	r->mr = odp_reg(r->o, r->addr, LEN, READ_ONLY | IBV_ACCESS_MW_BIND | r->odp);
	note_status(r, "bind for writing to a region that is read-only",
		    bind_type2(r, mw, (uintptr_t)r->addr, LEN, REMOTE));
	ibv_dereg_mr(r->mr);
	r->mr = all;
	ibv_dealloc_mw(mw);
}

/* --- ibv_rereg_mr --- */

static void rereg(struct run *r, const char *what, int flags, struct ibv_pd *pd,
		  int access)
{
	note_errno(r, what, odp_rereg_mr(r->o, &(struct ib_uverbs_rereg_mr){
		.mr_handle = r->mr->handle,
		.flags = flags,
		.start = (uintptr_t)r->addr,
		.length = LEN,
		.hca_va = (uintptr_t)r->addr,
		.pd_handle = pd->handle,
		.access_flags = access,
	}));
}

static void both_ways(struct run *r)
{
	uint64_t base = (uintptr_t)r->addr;

	write_to(r, "WRITE by the region", r->mr->rkey, base + 6001, 6001, CHUNK);
	read_from(r, "READ by the region", r->mr->rkey, base + 6001, 6001, CHUNK);
	add_to(r, "FETCH_ADD by the region", r->mr->rkey, 800);
}

static void change_region(struct run *r)
{
	struct ibv_pd *other = ibv_alloc_pd(r->o->ctx);
	const int access = IBV_REREG_MR_CHANGE_ACCESS;

	if (!other)
		odp_die(errno, "ibv_alloc_pd");
	both_ways(r);
	rereg(r, "rereg: remote reads only", access, r->o->pd,
	      READ_ONLY | IBV_ACCESS_LOCAL_WRITE | r->odp);
	both_ways(r);
	rereg(r, "rereg: everything again", access, r->o->pd,
	      ALL | r->odp);
	both_ways(r);
	rereg(r, "rereg: another PD", IBV_REREG_MR_CHANGE_PD, other, 0);
	both_ways(r);
	rereg(r, "rereg: PD and access", IBV_REREG_MR_CHANGE_PD | access, r->o->pd,
	      ALL | r->odp);
	both_ways(r);
	rereg(r, "rereg: other addresses", IBV_REREG_MR_CHANGE_TRANSLATION,
	      r->o->pd, 0);
	rereg(r, "rereg: unknown access", access, r->o->pd,
	      ALL | r->odp | 1 << 19);
	rereg(r, "rereg: nothing", 0, r->o->pd, 0);
	/* No region changes from pinned to ODP, or back */
	rereg(r, "rereg: the other kind", access, r->o->pd,
	      ALL | (r->odp ^ IBV_ACCESS_ON_DEMAND));
	both_ways(r);
	ibv_dealloc_pd(other);
}

/* What was registered for reading cannot be made writable. */
static void stays_read_only(struct run *r)
{
	struct ibv_mr *all = r->mr;

	r->mr = odp_reg(r->o, r->addr, LEN, READ_ONLY | r->odp);
	both_ways(r);
	rereg(r, "rereg: read-only, for writing", IBV_REREG_MR_CHANGE_ACCESS,
	      r->o->pd, ALL | r->odp);
	both_ways(r);
	ibv_dereg_mr(r->mr);
	r->mr = all;
}

/* --- both --- */

static void run_all(struct run *r, struct odp *o, int odp)
{
	r->o = o;
	r->odp = odp;
	r->addr = odp_map(LEN);
	qp_open(&r->pair, o, options);
	r->back = r->pair;
	r->back.qp = r->pair.peer;
	r->back.peer = r->pair.qp;
	r->mr = odp_reg(o, r->addr, LEN, ALL | odp);
	r->buffer = odp_reg(o, odp_map(CHUNK), CHUNK, IBV_ACCESS_LOCAL_WRITE);
	type1(r);
	type2(r);
	may_not_bind(r);
	change_region(r);
	stays_read_only(r);
	note_errno(r, "deregister", ibv_dereg_mr(r->mr));
	ibv_dereg_mr(r->buffer);
	qp_close(&r->pair);
}

static const char *text(const struct result *result)
{
	if (result->is_status)
		return ibv_wc_status_str(result->value);
	return result->value ? strerror(result->value) : "done";
}

int main(void)
{
	static struct run pinned, odp;
	struct odp o = {};
	unsigned int wrong = 0;

	odp_open(&o);
	run_all(&pinned, &o, 0);
	run_all(&odp, &o, IBV_ACCESS_ON_DEMAND);
	odp_close(&o);
	if (pinned.steps != odp.steps)
		odp_die(0, "%u steps pinned, %u with ODP", pinned.steps, odp.steps);
	for (unsigned int i = 0; i < odp.steps; i++) {
		const struct result *a = &pinned.result[i], *b = &odp.result[i];
		bool same = a->value == b->value && a->right && b->right;

		wrong += !same;
		if (same && !getenv("VERBOSE"))
			continue;
		printf("%s%s: pinned: %s%s, ODP: %s%s\n", same ? "" : "WRONG: ",
		       a->what, text(a), a->right ? "" : ", wrong bytes", text(b),
		       b->right ? "" : ", wrong bytes");
	}
	printf("%u wrong of %u\n", wrong, odp.steps);
	return wrong ? ODP_DEFECT : ODP_OK;
}
