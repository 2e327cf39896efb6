// SPDX-License-Identifier: GPL-2.0
/*
 * Random transfers of every kind, compared byte for byte with a model.
 *
 * Each side has four regions: 4 KiB pages, transparent huge pages, huge pages
 * (all ODP) and pinned pages. A shadow of each says what its bytes must be. A
 * transfer takes scattered pieces of one side to scattered pieces of the other;
 * those, and RED bytes around each, are compared at once, everything every
 * SWEEP transfers. Pages are given back now and then, so that they are touched
 * for the first time over and over.
 *
 * rxe_transfer odp|pinned COUNT
 *   pinned   all regions are pinned: what the device does without ODP
 */

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/qp.h"

#define REGION		(4UL << 20)
#define HUGE		(2UL << 20)
#define RED		1024UL
#define SWEEP		2500
#define MAX_MESSAGE	(1024UL << 10)
#define POOL		(2 * MAX_MESSAGE)
#define SGES		8
#define INLINE		256
#define SHOWN		10	/* wrong transfers that are described */

enum backing { SMALL, THP, HUGETLB, PINNED, BACKINGS };
enum side { LOCAL, REMOTE, SIDES };
enum kind { WRITE, WRITE_IMM, READ, SEND, SEND_SRQ, UD, KINDS };

static const char * const kind_names[KINDS] = {
	"WRITE", "WRITE with immediate", "READ", "SEND", "SEND to an SRQ", "UD"
};

struct region {
	unsigned char *addr, *shadow;
	struct ibv_mr *mr;
	enum backing backing;
};

/* Bytes of a region, in the order of the message. */
struct piece {
	struct region *region;
	size_t offset, len;
};

struct list {
	struct piece piece[SGES];
	unsigned int count;
};

struct test {
	struct odp o, rc, srq, ud;
	struct ibv_srq *shared;
	struct ibv_ah *ah;
	struct region region[SIDES][BACKINGS];
	unsigned char *pool, *message;
	unsigned short rnd[3];
	bool pinned;
	unsigned long done[KINDS], wrong[KINDS], bytes;
};

struct transfer {
	enum kind kind;
	size_t len;
	struct list from, to;
	bool inlined;
	uint32_t imm;
};

static size_t below(struct test *t, size_t n)
{
	return odp_random(t->rnd, n);
}

/* --- memory --- */

static unsigned char *map_aligned(int flags)
{
	unsigned char *addr = mmap(NULL, REGION + 2 * HUGE, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	if (addr == MAP_FAILED)
		odp_die(errno, "mmap of a region");
	return (unsigned char *)(((uintptr_t)addr + HUGE - 1) & ~(HUGE - 1));
}

static void make_region(struct test *t, struct region *r, enum backing backing)
{
	bool pinned = t->pinned || backing == PINNED;

	r->backing = backing;
	r->addr = map_aligned(backing == HUGETLB ? MAP_HUGETLB : 0);
	if (backing != HUGETLB)
		madvise(r->addr, REGION, backing == THP ? MADV_HUGEPAGE :
							  MADV_NOHUGEPAGE);
	r->shadow = odp_map(REGION);
	r->mr = odp_reg(&t->o, r->addr, REGION,
			ODP_RW | (pinned ? 0 : IBV_ACCESS_ON_DEMAND));
}

/* Takes pages away; they are zeros when they are touched again. */
static void give_back(struct test *t)
{
	enum backing backing = below(t, PINNED);
	struct region *r = &t->region[below(t, SIDES)][backing];
	size_t unit = backing == HUGETLB ? HUGE : ODP_PAGE;
	size_t pages = REGION / unit, first, count;

	if (t->pinned)
		return;
	first = below(t, 4) ? below(t, pages) : 0;
	count = first ? 1 + below(t, pages - first) : pages;
	if (madvise(r->addr + first * unit, count * unit, MADV_DONTNEED))
		odp_die(errno, "MADV_DONTNEED");
	memset(r->shadow + first * unit, 0, count * unit);
}

/* --- lists of pieces --- */

static size_t random_offset(struct test *t, size_t len)
{
	size_t offset = below(t, REGION - len + 1);

	/* Every fourth close to a page's edge */
	if (!below(t, 4))
		offset = (offset & ~(ODP_PAGE - 1)) + below(t, 32);
	return offset + len <= REGION ? offset : REGION - len;
}

static bool overlaps(const struct list *list, const struct piece *p)
{
	for (unsigned int i = 0; i < list->count; i++) {
		const struct piece *q = &list->piece[i];

		if (p->region == q->region && p->offset < q->offset + q->len &&
		    q->offset < p->offset + p->len)
			return true;
	}
	return false;
}

static void add_piece(struct test *t, struct list *list, enum side side,
		      size_t len)
{
	struct piece p = { .len = len };

	do {
		p.region = &t->region[side][below(t, BACKINGS)];
		p.offset = random_offset(t, len);
	} while (overlaps(list, &p));
	list->piece[list->count++] = p;
}

/* Cuts len bytes into at most that many pieces. */
static void make_list(struct test *t, struct list *list, enum side side,
		      size_t len, unsigned int pieces)
{
	list->count = 0;
	while (len) {
		size_t part = list->count + 1 < pieces ? 1 + below(t, len) : len;

		add_piece(t, list, side, part);
		len -= part;
	}
}

static bool all_pinned(const struct list *list)
{
	for (unsigned int i = 0; i < list->count; i++)
		if (list->piece[i].region->backing != PINNED)
			return false;
	return true;
}

static int make_sges(const struct list *list, struct ibv_sge *sge)
{
	for (unsigned int i = 0; i < list->count; i++) {
		const struct piece *p = &list->piece[i];

		sge[i].addr = (uintptr_t)p->region->addr + p->offset;
		sge[i].length = p->len;
		sge[i].lkey = p->region->mr->lkey;
	}
	return list->count;
}

/* --- the model --- */

/* What is sent: new bytes, or, every fourth time, what is there. */
static void fill(struct test *t, const struct list *list)
{
	if (!below(t, 4))
		return;
	for (unsigned int i = 0; i < list->count; i++) {
		const struct piece *p = &list->piece[i];
		size_t start = below(t, POOL - p->len + 1);

		memcpy(p->region->addr + p->offset, t->pool + start, p->len);
		memcpy(p->region->shadow + p->offset, t->pool + start, p->len);
	}
}

static void move_shadow(struct test *t, const struct transfer *x)
{
	size_t skip = x->kind == UD ? QP_GRH : 0, at = 0;

	for (unsigned int i = 0; i < x->from.count; i++) {
		const struct piece *p = &x->from.piece[i];

		memcpy(t->message + at, p->region->shadow + p->offset, p->len);
		at += p->len;
	}
	at = 0;
	for (unsigned int i = 0; i < x->to.count && at < x->len; i++) {
		const struct piece *p = &x->to.piece[i];
		size_t head = skip < p->len ? skip : p->len;
		size_t len = p->len - head;

		if (len > x->len - at)
			len = x->len - at;
		/* The header of the network is not ours to foretell */
		memcpy(p->region->shadow + p->offset, p->region->addr + p->offset,
		       head);
		memcpy(p->region->shadow + p->offset + head, t->message + at, len);
		skip -= head;
		at += len;
	}
}

/* Compares, and takes over what is there, so that it is counted once. */
static bool right(struct region *r, size_t start, size_t end)
{
	if (!memcmp(r->addr + start, r->shadow + start, end - start))
		return true;
	memcpy(r->shadow + start, r->addr + start, end - start);
	return false;
}

static bool list_right(const struct list *list)
{
	bool ok = true;

	for (unsigned int i = 0; i < list->count; i++) {
		const struct piece *p = &list->piece[i];
		size_t start = p->offset > RED ? p->offset - RED : 0;
		size_t end = p->offset + p->len + RED;

		ok &= right(p->region, start, end < REGION ? end : REGION);
	}
	return ok;
}

static bool all_right(struct test *t)
{
	bool ok = true;

	for (int side = 0; side < SIDES; side++)
		for (int i = 0; i < BACKINGS; i++)
			ok &= right(&t->region[side][i], 0, REGION);
	return ok;
}

/* --- transfers --- */

/* Many short ones, some of up to 1 MiB. */
static size_t random_length(struct test *t)
{
	static const unsigned char bits[] = { 6, 10, 12, 12, 13, 14, 15, 17, 19, 20 };
	size_t limit = 1UL << (1 + below(t, bits[below(t, sizeof(bits))]));

	return 1 + below(t, limit);
}

static void make_transfer(struct test *t, struct transfer *x)
{
	unsigned int pieces = below(t, 2) ? 1 + below(t, SGES) : 1;
	size_t room, mtu = 128UL << t->o.mtu;

	x->kind = below(t, KINDS);
	x->imm = nrand48(t->rnd);
	do {
		x->len = random_length(t);
		if (x->kind == UD && x->len > mtu)
			x->len = 1 + below(t, mtu);
		/* What is received may be shorter than the buffers */
		room = x->len + (below(t, 2) ? below(t, 5000) : 0) +
		       (x->kind == UD ? QP_GRH : 0);
		if (x->kind == READ) {
			make_list(t, &x->from, REMOTE, x->len, 1);
			make_list(t, &x->to, LOCAL, x->len, pieces);
			continue;
		}
		make_list(t, &x->from, LOCAL, x->len, pieces);
		if (x->kind == WRITE || x->kind == WRITE_IMM)
			make_list(t, &x->to, REMOTE, x->len, 1);
		else
			make_list(t, &x->to, REMOTE, room, 1 + below(t, SGES));
	} while (all_pinned(&x->from) && all_pinned(&x->to) && !t->pinned);
	x->inlined = x->kind != READ && x->len <= INLINE && below(t, 2);
}

static void post_receive(struct test *t, struct odp *pair,
			 const struct transfer *x)
{
	struct ibv_sge sge[SGES];
	struct ibv_recv_wr wr = { .wr_id = 1, .sg_list = sge }, *bad;
	int err;

	wr.num_sge = x->kind == WRITE_IMM ? 0 : make_sges(&x->to, sge);
	err = x->kind == SEND_SRQ ? ibv_post_srq_recv(t->shared, &wr, &bad) :
				    ibv_post_recv(pair->peer, &wr, &bad);
	if (err)
		odp_die(err, "ibv_post_recv");
}

static void post_send(struct test *t, struct odp *pair, const struct transfer *x)
{
	const struct list *far = x->kind == READ ? &x->from : &x->to;
	const struct list *near = x->kind == READ ? &x->to : &x->from;
	struct ibv_sge sge[SGES];
	struct ibv_send_wr wr = {
		.sg_list = sge,
		.num_sge = make_sges(near, sge),
		.opcode = IBV_WR_SEND_WITH_IMM,
		.send_flags = IBV_SEND_SIGNALED |
			      (x->inlined ? IBV_SEND_INLINE : 0),
		.imm_data = htonl(x->imm),
	};

	if (x->kind == UD) {
		wr.wr.ud.ah = t->ah;
		wr.wr.ud.remote_qpn = pair->peer->qp_num;
		wr.wr.ud.remote_qkey = QP_QKEY;
	} else if (x->kind <= READ) {
		wr.opcode = x->kind == READ ? IBV_WR_RDMA_READ :
			    x->kind == WRITE ? IBV_WR_RDMA_WRITE :
					       IBV_WR_RDMA_WRITE_WITH_IMM;
		wr.wr.rdma.remote_addr = (uintptr_t)far->piece[0].region->addr +
					 far->piece[0].offset;
		wr.wr.rdma.rkey = far->piece[0].region->mr->rkey;
	}
	odp_post(pair, &wr);
}

static bool received_right(const struct transfer *x, const struct ibv_wc *wc)
{
	size_t len = x->len + (x->kind == UD ? QP_GRH : 0);

	return wc->byte_len == len && (wc->wc_flags & IBV_WC_WITH_IMM) &&
	       ntohl(wc->imm_data) == x->imm;
}

/* Posts it and waits: an empty string, or what went wrong. */
static const char *run(struct test *t, const struct transfer *x)
{
	struct odp *pair = x->kind == UD ? &t->ud :
			   x->kind == SEND_SRQ ? &t->srq : &t->rc;
	bool receives = x->kind != WRITE && x->kind != READ;

	if (receives)
		post_receive(t, pair, x);
	post_send(t, pair, x);
	for (int n = 1 + receives; n; n--) {
		struct ibv_wc wc = odp_wait_wc(pair);

		if (wc.status) {
			qp_connect(pair);
			return ibv_wc_status_str(wc.status);
		}
		if (wc.wr_id && !received_right(x, &wc))
			return "length or immediate data of the completion";
	}
	return "";
}

static void describe(const struct transfer *x, const char *what)
{
	const struct list *lists[] = { &x->from, &x->to };

	printf("%s%s of %zu bytes: %s\n", kind_names[x->kind],
	       x->inlined ? " inline" : "", x->len, what);
	for (int i = 0; i < 2; i++)
		for (unsigned int j = 0; j < lists[i]->count; j++) {
			const struct piece *p = &lists[i]->piece[j];

			printf("  %s backing %d offset %#zx length %#zx\n",
			       i ? "to" : "from", p->region->backing, p->offset,
			       p->len);
		}
}

static void step(struct test *t, unsigned long number, unsigned long *shown)
{
	struct transfer x;
	const char *what;

	if (!below(t, 16))
		give_back(t);
	if (!below(t, 64)) {
		t->rc.mtu = IBV_MTU_256 + below(t, t->o.mtu);
		qp_connect(&t->rc);
	}
	make_transfer(t, &x);
	fill(t, &x.from);
	what = run(t, &x);
	move_shadow(t, &x);
	if (!list_right(&x.from) && !*what)
		what = "the source changed";
	if (!list_right(&x.to) && !*what)
		what = "wrong bytes";
	if (!(number % SWEEP) && !all_right(t) && !*what)
		what = "wrong bytes elsewhere, by this or one before";
	t->done[x.kind]++;
	t->bytes += x.len;
	t->wrong[x.kind] += !!*what;
	if (*what && (*shown)++ < SHOWN)
		describe(&x, what);
}

static void open_all(struct test *t)
{
	struct ibv_srq_init_attr attr = {
		.attr = { .max_wr = ODP_DEPTH, .max_sge = SGES },
	};
	struct qp_options options = {
		.type = IBV_QPT_RC, .sges = SGES, .inline_bytes = INLINE,
	};
	struct ibv_ah_attr ah = { .is_global = 1, .port_num = 1 };

	odp_open(&t->o);
	t->shared = ibv_create_srq(t->o.pd, &attr);
	if (!t->shared)
		odp_die(errno, "ibv_create_srq");
	qp_open(&t->rc, &t->o, options);
	options.srq = t->shared;
	qp_open(&t->srq, &t->o, options);
	options.srq = NULL;
	options.type = IBV_QPT_UD;
	qp_open(&t->ud, &t->o, options);
	ah.grh.dgid = t->o.gid;
	ah.grh.sgid_index = t->o.gid_index;
	ah.grh.hop_limit = 1;
	t->ah = ibv_create_ah(t->o.pd, &ah);
	if (!t->ah)
		odp_die(errno, "ibv_create_ah");
	for (int side = 0; side < SIDES; side++)
		for (int i = 0; i < BACKINGS; i++)
			make_region(t, &t->region[side][i], i);
	t->message = odp_map(MAX_MESSAGE);
	t->pool = odp_map(POOL);
	for (size_t i = 0; i < POOL / 4; i++)
		((uint32_t *)t->pool)[i] = jrand48(t->rnd);
}

static void close_all(struct test *t)
{
	for (int side = 0; side < SIDES; side++)
		for (int i = 0; i < BACKINGS; i++)
			ibv_dereg_mr(t->region[side][i].mr);
	ibv_destroy_ah(t->ah);
	qp_close(&t->rc);
	qp_close(&t->srq);
	qp_close(&t->ud);
	ibv_destroy_srq(t->shared);
	odp_close(&t->o);
}

int main(int argc, char **argv)
{
	unsigned long count, wrong = 0, shown = 0;
	static struct test t;

	if (argc != 3)
		odp_die(0, "usage: rxe_transfer odp|pinned COUNT");
	t.pinned = !strcmp(argv[1], "pinned");
	count = strtoul(argv[2], NULL, 0);
	odp_seed(t.rnd);
	open_all(&t);
	for (unsigned long i = 1; i <= count; i++)
		step(&t, i, &shown);
	wrong += !all_right(&t);
	for (int i = 0; i < KINDS; i++) {
		printf("%s: %lu wrong of %lu\n", kind_names[i], t.wrong[i],
		       t.done[i]);
		wrong += t.wrong[i];
	}
	close_all(&t);
	printf("%lu wrong of %lu transfers, %lu MiB, MTU %u\n", wrong, count,
	       t.bytes >> 20, 128U << t.o.mtu);
	return wrong ? ODP_DEFECT : ODP_OK;
}
