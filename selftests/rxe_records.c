// SPDX-License-Identifier: GPL-2.0
/*
 * Requests that come again, from a peer who does not keep to the rules: what the
 * responder remembers of a request answers that request only, what it reaches is asked
 * again, and the memory of another process, which no peer may reach, never leaves.
 *
 * rxe_records NETDEV ADDRESS PEER_NETDEV PEER_ADDRESS cases | warn
 *	ours, and the RDMA device's; warn: what makes C warn
 */

#include <errno.h>
#include <stdarg.h>

#include "lib/cases.h"
#include "lib/child.h"
#include "lib/odp.h"
#include "lib/roce.h"
#include "lib/window.h"

#define LEN	(4 * ODP_PAGE)
#define ALL	(ODP_RW | IBV_ACCESS_REMOTE_ATOMIC | IBV_ACCESS_FLUSH_GLOBAL | IBV_ACCESS_MW_BIND)
#define SECRET	0x5ec4e75ec4e75ec4ULL
#define PEER_QPN 0x77
#define WAIT_MS	3000
#define GLOBAL	1
#define RANGE	0
#define WHOLE	1

static struct {
	struct odp o, to_peer;
	struct roce peer;
	unsigned char *memory;
	struct ibv_mr *mr;
	uint32_t psn;		/* the next new one */
	bool leaked;
} t;

/* --- a region that no peer may reach, of another process and PD --- */

static const int secret_access[] = { 0, IBV_ACCESS_ON_DEMAND };
static struct roce_reth secret[2];

static void keep_secret(const void *argument)
{
	struct odp o = {};

	(void)argument;
	odp_open(&o);
	for (int i = 0; i < 2; i++) {
		uint64_t *memory = odp_map(LEN);

		for (size_t word = 0; word < LEN / 8; word++)
			memory[word] = SECRET;
		child_tell('k', odp_reg(&o, memory, LEN, secret_access[i])->rkey);
		child_tell('a', (uintptr_t)memory);
	}
}

static void learn_secret(void)
{
	struct child c = child_start(keep_secret, NULL);

	for (int i = 0; i < 2; i++) {
		secret[i].key = child_must_tell(&c, 'k');
		secret[i].va = child_must_tell(&c, 'a');
		secret[i].len = 256;
	}
}

/* --- asking, and what is heard --- */

struct heard {
	bool any, alive;	/* any: before the answer to what comes last */
	struct roce_answer first;
};

static void look_for_secret(const struct roce_answer *answer)
{
	static const uint64_t word = SECRET;

	if (answer->len >= sizeof(word) &&
	    memmem(answer->payload, answer->len, &word, sizeof(word)))
		t.leaked = true;
}

/* Until the READ of that PSN is answered. */
static struct heard hear(uint32_t psn)
{
	const unsigned int ms = WAIT_MS * odp_env("ODP_SLOW", 1);
	struct heard h = {};
	struct roce_answer answer;

	while (!h.alive && roce_receive(&t.peer, &answer, ms)) {
		look_for_secret(&answer);
		h.alive = answer.psn == psn && answer.opcode == ROCE_READ_ONLY;
		if (h.alive || h.any)
			continue;
		h.any = true;
		h.first = answer;
		/* It is the last one. */
		if (answer.opcode == ROCE_ACK && answer.syndrome >= ROCE_NAK_INVALID)
			break;
	}
	return h;
}

static struct roce_reth in_region(size_t offset, uint32_t len)
{
	return (struct roce_reth){ (uintptr_t)t.memory + offset, t.mr->rkey, len };
}

/* Requests are answered in their order: what came before this one is, or never. */
static struct heard hear_all(void)
{
	roce_read(&t.peer, t.psn, in_region(0, 8));
	return hear(t.psn++);
}

static void connect_peer(void)
{
	struct roce_answer late;

	odp_connect_to(&t.to_peer, t.o.qp, PEER_QPN);
	t.peer.qpn = t.o.qp->qp_num;
	t.psn = 0;
	while (roce_receive(&t.peer, &late, 0))
		;
}

static void tell(char *text, size_t size, const struct heard *h)
{
	const char *more = h->alive ? "" : ", and the queue pair is dead";

	if (!h->any)
		snprintf(text, size, "no answer%s", more);
	else if (h->first.opcode == ROCE_ACK)
		snprintf(text, size, "ACK or NAK %#x%s", h->first.syndrome, more);
	else
		snprintf(text, size, "answer %#x of %zu bytes%s", h->first.opcode, h->first.len,
			 more);
}

static void result(const char *what, const struct heard *h, bool right)
{
	char text[100];

	tell(text, sizeof(text), h);
	result_is(right && !t.leaked, what, t.leaked ? "the secret has left" : text);
	t.leaked = false;
	connect_peer();
}

static void must_be_ignored(const char *what)
{
	struct heard h = hear_all();

	result(what, &h, h.alive && !h.any);
}

static void must_be_answered(const char *what, uint8_t opcode, uint32_t psn, size_t len)
{
	struct heard h = hear_all();

	result(what, &h, h.alive && h.any && h.first.opcode == opcode &&
	       h.first.psn == psn && h.first.len == len);
}

/* The queue pair fails with it, as for a new request. */
static void must_be_refused(const char *what, uint8_t nak)
{
	struct heard h = hear_all();

	result(what, &h, !h.alive && h.any && h.first.opcode == ROCE_ACK &&
	       h.first.syndrome == nak);
}

/* A READ that is answered, after what came before. */
static void read_now(struct roce_reth reth)
{
	roce_read(&t.peer, t.psn, reth);
	if (!hear(t.psn++).alive)
		odp_die(0, "a READ is not answered");
}

/* --- records of another kind --- */

/* All other records are of READs of nothing. */
static void go_round(void)
{
	for (int i = 1; i < ODP_DEPTH; i++)
		read_now((struct roce_reth){});
}

/*
 * A record that was a READ's, of nothing, so that nobody looks at its address, and then a
 * FLUSH's, of all, so that nobody looks at its: to C, a READ of the secret.
 */
static void secret_by_flush(const char *what, const struct roce_reth *of)
{
	read_now((struct roce_reth){ of->va, 0, 0 });
	go_round();
	/* From the same address but for its lower half, which is 1, and 4 GiB. */
	roce_flush(&t.peer, t.psn, GLOBAL, WHOLE, (struct roce_reth){
		.va = of->key | 0xffffffffULL << 32,
		.key = t.mr->rkey,
		.len = 1,
	});
	if (!hear(t.psn++).alive)
		odp_die(0, "a FLUSH is not answered");
	roce_read(&t.peer, 0, *of);
	roce_read(&t.peer, t.psn - 1, *of);
	must_be_ignored(what);
}

/* The same from a record that an atomic operation made another one of. */
static void secret_by_atomic(const char *what, const struct roce_reth *of)
{
	uint64_t *word = (uint64_t *)t.memory;

	*word = of->va;
	roce_flush(&t.peer, t.psn++, GLOBAL, WHOLE, (struct roce_reth){
		.va = of->key | (uint64_t)ODP_PAGE << 32,
		.key = t.mr->rkey,
	});
	go_round();
	roce_fetch_add(&t.peer, t.psn++, (uintptr_t)word, t.mr->rkey, 0);
	hear_all();
	*word = 0;
	roce_read(&t.peer, 0, *of);
	roce_read(&t.peer, t.psn - 2, *of);
	must_be_ignored(what);
}

enum kind { READ, ADD, ATOMIC_WRITE, FLUSH, KINDS };

static const struct {
	const char *name;
	uint8_t answer;
	size_t len;
} kinds[] = {
	[READ] = { "a READ", ROCE_READ_ONLY, 8 },
	[ADD] = { "a FETCH_ADD", ROCE_ATOMIC_ACK, 8 },
	[ATOMIC_WRITE] = { "an ATOMIC_WRITE", ROCE_READ_ONLY, 0 },
	[FLUSH] = { "a FLUSH", ROCE_READ_ONLY, 0 },
};

static void ask(enum kind kind, uint32_t psn)
{
	const uint64_t value = 5;
	struct roce_reth at = in_region(64, 8);

	if (kind == READ)
		roce_read(&t.peer, psn, at);
	else if (kind == ADD)
		roce_fetch_add(&t.peer, psn, at.va, at.key, 1);
	else if (kind == ATOMIC_WRITE)
		roce_write(&t.peer, ROCE_ATOMIC_WRITE, psn, at, &value, sizeof(value));
	else
		roce_flush(&t.peer, psn, GLOBAL, RANGE, at);
}

static void by_kind(void)
{
	char what[100];

	for (enum kind first = READ; first < KINDS; first++)
		for (enum kind again = READ; again < KINDS; again++) {
			ask(first, t.psn++);
			hear_all();
			ask(again, 0);
			snprintf(what, sizeof(what), "%s that comes again where %s was",
				 kinds[again].name, kinds[first].name);
			if (first == again)
				must_be_answered(what, kinds[again].answer, 0, kinds[again].len);
			else
				must_be_ignored(what);
		}
}

/* --- what is reached may have changed --- */

static void rereg(int flags, struct ibv_pd *pd, int access)
{
	int err = odp_rereg_mr(&t.o, &(struct ib_uverbs_rereg_mr){
		.mr_handle = t.mr->handle,
		.flags = flags,
		.start = (uintptr_t)t.memory,
		.length = LEN,
		.hca_va = (uintptr_t)t.memory,
		.pd_handle = pd->handle,
		.access_flags = access,
	});

	if (err)
		odp_die(err, "rereg_mr");
}

static void region_changes(int odp)
{
	struct ibv_pd *other = ibv_alloc_pd(t.o.ctx);
	struct roce_reth at = in_region(100, 64);

	read_now(at);
	rereg(IBV_REREG_MR_CHANGE_PD, other, 0);
	roce_read(&t.peer, 0, at);
	must_be_refused("a READ that comes again, the region went to another PD",
			ROCE_NAK_ACCESS);
	rereg(IBV_REREG_MR_CHANGE_PD, t.o.pd, 0);
	read_now(at);
	rereg(IBV_REREG_MR_CHANGE_ACCESS, t.o.pd, (ALL & ~IBV_ACCESS_REMOTE_READ) | odp);
	roce_read(&t.peer, 0, at);
	must_be_refused("a READ that comes again, the region is not readable any more",
			ROCE_NAK_ACCESS);
	rereg(IBV_REREG_MR_CHANGE_ACCESS, t.o.pd, ALL | odp);
}

/* The window is bound anew, by the same key. */
static void window_changes(void)
{
	struct ibv_mw *mw = window_alloc(t.o.pd, IBV_MW_TYPE_2);
	uint64_t base = (uintptr_t)t.memory;
	const struct odp pair = { .cq = t.o.cq, .peer = t.o.qp, .qp = t.o.peer };
	const struct odp second = { .cq = t.o.cq, .peer = t.o.peer, .qp = t.o.qp };
	uint32_t key = ibv_inc_rkey(mw->rkey);
	const struct {
		const char *what;
		const struct odp *by;
		uint64_t offset;
		int access;
	} to[] = {
		{ "not readable any more", &pair, 0, IBV_ACCESS_REMOTE_WRITE },
		{ "elsewhere", &pair, ODP_PAGE, IBV_ACCESS_REMOTE_READ },
		{ "another queue pair's", &second, 0, IBV_ACCESS_REMOTE_READ },
	};
	char what[100];

	for (unsigned int i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
		struct roce_reth at = { base + 100, key, 64 };

		if (window_bind_as(&pair, mw, t.mr, base, ODP_PAGE, IBV_ACCESS_REMOTE_READ, key))
			odp_die(0, "a window cannot be bound");
		read_now(at);
		if (window_invalidate(&pair, key) ||
		    window_bind_as(to[i].by, mw, t.mr, base + to[i].offset, ODP_PAGE,
				   to[i].access, key))
			odp_die(0, "a window cannot be bound anew");
		roce_read(&t.peer, 0, at);
		snprintf(what, sizeof(what), "a READ that comes again, the window is %s",
			 to[i].what);
		must_be_refused(what, ROCE_NAK_ACCESS);
		if (window_invalidate(to[i].by, key))
			odp_die(0, "a window cannot be invalidated");
	}
	if (window_bind_as(&pair, mw, t.mr, base, ODP_PAGE,
			   IBV_ACCESS_REMOTE_READ | IBV_ACCESS_ZERO_BASED, key))
		odp_die(0, "a window cannot be bound");
	read_now((struct roce_reth){ 10, key, 33 });
	roce_read(&t.peer, 0, (struct roce_reth){ 10, key, 33 });
	must_be_answered("a READ that comes again, of a window from zero", ROCE_READ_ONLY, 0, 33);
	ibv_dealloc_mw(mw);
}

/* --- a READ that comes again as another one --- */

static void again(void)
{
	uint64_t last = -(uint64_t)LEN;
	struct ibv_mr *mr = ibv_reg_mr_iova(t.o.pd, t.memory, LEN, last, ALL);
	const size_t mtu = 128UL << t.o.mtu;
	struct roce_reth all = in_region(0, 4 * mtu), nothing = { 1, 2, 0 };

	if (!mr)
		odp_die(errno, "ibv_reg_mr_iova");
	read_now((struct roce_reth){ -(uint64_t)ODP_PAGE, mr->rkey, 64 });
	roce_read(&t.peer, 0, (struct roce_reth){ -1ULL, mr->rkey, 64 });
	must_be_ignored("a READ that comes again over the end of all addresses");
	read_now((struct roce_reth){ -(uint64_t)ODP_PAGE, mr->rkey, 64 });
	roce_read(&t.peer, 0, (struct roce_reth){ -(uint64_t)ODP_PAGE, mr->rkey, 64 });
	must_be_answered("a READ that comes again near the end of all addresses",
			 ROCE_READ_ONLY, 0, 64);

	read_now(nothing);
	roce_read(&t.peer, 0, nothing);
	must_be_answered("a READ of nothing that comes again", ROCE_READ_ONLY, 0, 0);

	roce_read(&t.peer, 0, all);
	t.psn = 4;
	hear_all();
	roce_read(&t.peer, 2, in_region(2 * mtu, 2 * mtu));
	hear_all();
	roce_read(&t.peer, 0, all);
	must_be_answered("a READ that comes again, first its end, then all of it",
			 ROCE_READ_FIRST, 0, mtu);

	roce_read(&t.peer, 0, all);
	t.psn = 4;
	hear_all();
	roce_read(&t.peer, 2, all);
	must_be_ignored("a READ that comes again by the PSN of its third packet");
}

static void nothing_at_all(void)
{
	roce_flush(&t.peer, t.psn++, 0, RANGE, in_region(0, 8));
	must_be_refused("a FLUSH that asks for nothing", ROCE_NAK_ACCESS);
	roce_flush(&t.peer, t.psn++, GLOBAL, 3, in_region(0, 8));
	must_be_refused("a FLUSH of a level that does not exist", ROCE_NAK_ACCESS);
}

/* --- all --- */

static void cases(void)
{
	secret_by_flush("memory of another process, pinned, by the record of a FLUSH", &secret[0]);
	secret_by_flush("memory of another process, ODP, by the record of a FLUSH", &secret[1]);
	secret_by_atomic("memory of another process, pinned, by the record of a FETCH_ADD",
			 &secret[0]);
	by_kind();
	region_changes(0);
	window_changes();
	again();
	nothing_at_all();
}

/* What has no MR, and is looked for in it. */
static void warn(void)
{
	static const uint8_t payload[ODP_PAGE];

	read_now(in_region(0, 64));
	read_now((struct roce_reth){});
	roce_read(&t.peer, 0, in_region(0, 64));
	must_be_answered("a READ that comes again after one of nothing", ROCE_READ_ONLY, 0, 64);
	roce_write(&t.peer, ROCE_WRITE_FIRST, t.psn++, (struct roce_reth){}, payload,
		   128UL << t.o.mtu);
	must_be_refused("a WRITE of nothing with something in it", ROCE_NAK_INVALID);
	roce_write(&t.peer, ROCE_WRITE_ONLY, t.psn++, (struct roce_reth){}, payload, 8);
	must_be_refused("a WRITE of nothing in one packet with something in it",
			ROCE_NAK_INVALID);
}

int main(int argc, char **argv)
{
	if (argc != 6)
		odp_die(0, "usage: rxe_records NETDEV ADDRESS PEER_NETDEV PEER_ADDRESS WHAT");
	learn_secret();
	odp_open(&t.o);
	roce_open(&t.peer, argv[1], argv[2], argv[3], argv[4]);
	t.to_peer = t.o;
	memset(&t.to_peer.gid, 0, sizeof(t.to_peer.gid));
	memset(t.to_peer.gid.raw + 10, 0xff, 2);
	memcpy(t.to_peer.gid.raw + 12, &t.peer.addr, 4);
	t.memory = odp_map(LEN);
	odp_stamp(t.memory, LEN, 1, 1);
	t.mr = odp_reg(&t.o, t.memory, LEN, ALL);
	connect_peer();
	if (!strcmp(argv[5], "warn"))
		warn();
	else
		cases();
	return ODP_OK;
}
