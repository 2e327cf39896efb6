// SPDX-License-Identifier: GPL-2.0
/*
 * Regions whose IOVA is not their address: transfers of both sides and atomic
 * operations, at random places, at both ends and beyond them. Statuses and bytes
 * of an ODP region must be those of a pinned one.
 *
 * rxe_iova odp|pinned|near
 *   pinned   compares two pinned regions
 *   near     the IOVA is so close to the address that C, which takes the one for
 *            the other, stays within its table and can be shown to be wrong
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/qp.h"

#define LEN	(16 * ODP_PAGE - 1000)
#define STEPS	60
#define CHUNK	9000UL
#define SHORT	200UL	/* one packet: it fails before anything has moved */
#define SHOWN	10

static const struct qp_options options = { .type = IBV_QPT_RC, .sges = 1 };

/* The page offset of an IOVA is that of the address, uverbs wants it so. */
static const struct {
	const char *name;
	uint64_t iova;
} cases[] = {
	{ "0", 0 },
	{ "a page's offset", 600 },
	{ "one page", ODP_PAGE },
	{ "above 4 GiB", (1UL << 32) + 8 },
	{ "2^63, no address", (1UL << 63) + 16 },
	{ "to the last page but one", -17UL * ODP_PAGE },
	{ "to the last byte", -LEN },
};

#define CASES	(sizeof(cases) / sizeof(cases[0]))

enum op { WRITE, READ, LOCAL_WRITE, LOCAL_READ, ADD, SWAP, ATOMIC_WRITE, OPS };

static const char * const op_names[OPS] = {
	"WRITE", "READ", "READ into it", "WRITE from it", "FETCH_ADD", "CMP_SWP",
	"ATOMIC_WRITE"
};

/* A region with its IOVA, its other side, and what both must hold. */
struct run {
	struct odp *pair;
	unsigned char *addr, *other;
	unsigned char model[LEN], other_model[CHUNK];
	struct ibv_mr *mr, *other_mr;
	uint64_t iova;
	enum ibv_wc_status status[STEPS];
	bool right[STEPS];
};

struct step {
	enum op op;
	ssize_t offset;
	size_t len;
	uint64_t value;
};

static bool is_atomic(enum op op)
{
	return op >= ADD;
}

/* A place within, an end, or one byte (of an atomic: 8) too far. */
static struct step random_step(unsigned short rnd[3], uint64_t iova)
{
	struct step s = { .op = odp_random(rnd, OPS), .value = nrand48(rnd) };
	unsigned int where = odp_random(rnd, 8);
	bool inside = where != 2 && where != 3;

	s.len = is_atomic(s.op) ? 8 : 1 + odp_random(rnd, inside ? CHUNK : SHORT);
	s.offset = odp_random(rnd, LEN - s.len + 1);
	switch (where) {
	case 0:
		s.offset = 0;
		break;
	case 1:
		s.offset = LEN - s.len;
		break;
	case 2:
		s.offset = is_atomic(s.op) ? -8 : -1;
		break;
	case 3:
		s.offset = LEN - s.len + 1;
	}
	/* Downwards: what is beyond the end stays there */
	if (is_atomic(s.op) && s.offset != (ssize_t)(LEN - s.len + 1))
		s.offset = (ssize_t)(((iova + s.offset) & ~7UL) - iova);
	return s;
}

/* The model's part; false if the step must fail. */
static bool model(struct run *r, const struct step *s)
{
	unsigned char *at = r->model + s->offset;
	uint64_t old, value = s->value;

	if (s->offset < 0 || s->offset + s->len > LEN)
		return false;
	switch (s->op) {
	case WRITE:
	case LOCAL_WRITE:
		memcpy(at, r->other_model, s->len);
		return true;
	case READ:
	case LOCAL_READ:
		memcpy(r->other_model, at, s->len);
		return true;
	case ATOMIC_WRITE:
		memcpy(at, &value, sizeof(value));
		return true;
	default:
		memcpy(&old, at, sizeof(old));
		memcpy(r->other_model, &old, sizeof(old));
		/* CMP_SWP compares with what is there, and always swaps */
		if (s->op == ADD)
			value += old;
		memcpy(at, &value, sizeof(value));
		return true;
	}
}

static enum ibv_wc_status do_step(struct run *r, const struct step *s)
{
	struct odp_side here = { r->iova + s->offset, r->mr->rkey };
	struct odp_side there = odp_at(r->other_mr, 0);
	uint64_t old = 0;

	switch (s->op) {
	case WRITE:
		return odp_rdma(r->pair, IBV_WR_RDMA_WRITE, there, here, s->len);
	case READ:
		return odp_rdma(r->pair, IBV_WR_RDMA_READ, there, here, s->len);
	case LOCAL_WRITE:
		return odp_rdma(r->pair, IBV_WR_RDMA_READ, here, there, s->len);
	case LOCAL_READ:
		return odp_rdma(r->pair, IBV_WR_RDMA_WRITE, here, there, s->len);
	case ATOMIC_WRITE:
		return qp_atomic_write(r->pair, here, s->value);
	case SWAP:
		memcpy(&old, r->addr + s->offset, sizeof(old));
		return qp_atomic(r->pair, IBV_WR_ATOMIC_CMP_AND_SWP, there, here,
				 old, s->value);
	default:
		return qp_atomic(r->pair, IBV_WR_ATOMIC_FETCH_AND_ADD, there,
				 here, 0, s->value);
	}
}

static bool run_right(struct run *r)
{
	bool ok = !memcmp(r->addr, r->model, LEN) &&
		  !memcmp(r->other, r->other_model, CHUNK);

	memcpy(r->model, r->addr, LEN);
	memcpy(r->other_model, r->other, CHUNK);
	return ok;
}

static void open_run(struct run *r, struct odp *pair, uint64_t iova, int access)
{
	/* A page more in front and behind: what is out of range is memory, too */
	r->pair = pair;
	r->iova = iova;
	r->addr = (unsigned char *)odp_map(LEN + 4 * ODP_PAGE) + ODP_PAGE +
		  iova % ODP_PAGE;
	odp_stamp(r->addr, LEN, 3, 3);
	memcpy(r->model, r->addr, LEN);
	r->other = odp_map(CHUNK);
	memcpy(r->other_model, r->other, CHUNK);
	r->mr = ibv_reg_mr_iova(pair->pd, r->addr, LEN, iova, access | ODP_RW |
				IBV_ACCESS_REMOTE_ATOMIC);
	if (!r->mr)
		odp_die(errno, "ibv_reg_mr_iova at %#lx", (unsigned long)iova);
	r->other_mr = odp_reg(pair, r->other, CHUNK, ODP_RW);
}

static void close_run(struct run *r)
{
	ibv_dereg_mr(r->mr);
	ibv_dereg_mr(r->other_mr);
}

static unsigned long one_case(struct odp *pair, uint64_t iova, const char *name,
			      int access, unsigned short rnd[3],
			      unsigned long *shown)
{
	static struct run run[2];
	unsigned long wrong = 0;

	open_run(&run[0], pair, iova, 0);
	open_run(&run[1], pair, iova, access);
	for (int i = 0; i < STEPS; i++) {
		struct step s = random_step(rnd, iova);
		enum ibv_wc_status status[2];
		bool right[2];

		for (int j = 0; j < 2; j++) {
			struct run *r = &run[j];

			odp_stamp(r->other, CHUNK - CHUNK % 8, i, iova);
			memcpy(r->other_model, r->other, CHUNK);
			status[j] = do_step(r, &s);
			if (status[j])
				qp_connect(pair);
			right[j] = model(r, &s) == !status[j];
			right[j] &= run_right(r);
		}
		if (right[0] && right[1] && status[0] == status[1])
			continue;
		wrong++;
		if ((*shown)++ < SHOWN)
			printf("iova %s: %s, offset %zd, length %zu: ODP: %s, %s, pinned: %s, %s\n",
			       name, op_names[s.op], s.offset, s.len,
			       right[1] ? "right" : "wrong",
			       ibv_wc_status_str(status[1]),
			       right[0] ? "right" : "wrong",
			       ibv_wc_status_str(status[0]));
	}
	close_run(&run[0]);
	close_run(&run[1]);
	return wrong;
}

/* Into the second quarter of a region by an IOVA that means the first. */
static unsigned long near(struct odp *pair)
{
	const size_t quarter = LEN / ODP_PAGE / 4 * ODP_PAGE;
	unsigned char *addr = odp_map(LEN), *source = odp_map(quarter);
	struct ibv_mr *from = odp_reg(pair, source, quarter, ODP_RW);
	struct ibv_mr *mr = ibv_reg_mr_iova(pair->pd, addr, LEN,
					    (uintptr_t)addr + quarter,
					    ODP_RW | IBV_ACCESS_ON_DEMAND);
	unsigned long wrong = 0;

	if (!mr)
		odp_die(errno, "ibv_reg_mr_iova");
	for (size_t at = 0; at < quarter; at += ODP_PAGE) {
		struct odp_side to = { (uintptr_t)addr + quarter + at, mr->rkey };

		odp_stamp(source + at, ODP_PAGE, at, 1);
		if (odp_rdma(pair, IBV_WR_RDMA_WRITE, odp_at(from, at), to,
			     pair->chunk))
			qp_connect(pair);
		wrong += !odp_stamped(addr + at, pair->chunk, at, 1);
	}
	printf("%lu wrong of %zu\n", wrong, quarter / ODP_PAGE);
	ibv_dereg_mr(mr);
	ibv_dereg_mr(from);
	return wrong;
}

static unsigned long all_cases(struct odp *pair, int access)
{
	unsigned long wrong = 0, shown = 0;
	unsigned short rnd[3];

	odp_seed(rnd);
	for (size_t i = 0; i < CASES; i++) {
		unsigned long n = one_case(pair, cases[i].iova, cases[i].name,
					   access, rnd, &shown);

		printf("iova %s: %lu wrong of %d\n", cases[i].name, n, STEPS);
		wrong += n;
	}
	return wrong;
}

int main(int argc, char **argv)
{
	struct odp o = {}, pair;
	unsigned long wrong;

	if (argc != 2)
		odp_die(0, "usage: rxe_iova odp|pinned|near");
	odp_open(&o);
	qp_open(&pair, &o, options);
	if (!strcmp(argv[1], "near"))
		wrong = near(&pair);
	else
		wrong = all_cases(&pair, strcmp(argv[1], "odp") ? 0 :
						 IBV_ACCESS_ON_DEMAND);
	qp_close(&pair);
	odp_close(&o);
	return wrong ? ODP_DEFECT : ODP_OK;
}
