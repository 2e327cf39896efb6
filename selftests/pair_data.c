// SPDX-License-Identifier: GPL-2.0
/*
 * WRITEs and READs between this machine's memory and that of pair_owner on another,
 * whose pages are taken away all the while; every byte is compared with a model.
 *
 * pair_data HOST MODE COUNT LENGTH [MODE [writes]]
 *   COUNT batches of transfers of up to LENGTH bytes (64 KiB at most); MODE is odp,
 *   explicit or pinned, of the other's memory and of this machine's, which can be another;
 *   without READs if asked for
 *
 * A byte that was written must come back, or be zero where its page may have been
 * taken away since; never an older one. Where a region is not mapped for a while, a
 * transfer may fail instead. In the end both machines see the same bytes.
 */

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/pair.h"

#define MAX_LENGTH	(64UL << 10)
#define SLOT		(MAX_LENGTH + ODP_PAGE)	/* of the local buffer */
#define SPAN		8	/* times LENGTH: that much of a region is used */
#define SHOWN		10	/* wrong transfers that are described */

struct transfer {
	unsigned int region;
	size_t offset, len, local;	/* local: offset in the local buffer */
	bool reads;
};

static struct odp o;
static struct pair_link link_to[PAIR_LINKS];
static struct pair_welcome there;
static unsigned char *shadow[PAIR_REGIONS], *local, *pool;
static struct ibv_mr *local_mr;
static enum pair_mode mode, local_mode;
static size_t max_length, span;
static unsigned short rnd[3];
static int tcp;
static unsigned long wrong, failed, unanswered, bytes;
static bool broken;	/* a transfer failed that must not: there is no going on */
static bool only_writes;

static size_t below(size_t n)
{
	return odp_random(rnd, n);
}

static enum pair_storm storm_of(unsigned int number)
{
	return there.region[number].storm;
}

static void complain(const struct transfer *x, const char *why)
{
	if (wrong++ < SHOWN)
		printf("%s region %u (storm %d, %s, %s) offset %#zx, %zu bytes: %s\n",
		       x->reads ? "READ" : "WRITE", x->region, storm_of(x->region),
		       there.region[x->region].huge ? "huge" : "4 KiB",
		       there.region[x->region].implicit ? "implicit" : "explicit",
		       x->offset, x->len, why);
}

/* --- requests to the owner --- */

static uint64_t ask(enum pair_command command, unsigned int number, size_t offset,
		    size_t len, uint64_t value)
{
	return pair_ask(tcp, (struct pair_request){ command, number, offset, len, value });
}

/* All of a region is zeros from here on, if it is of those that lose what they have. */
static void drop(unsigned int number)
{
	ask(PAIR_DROP, number, 0, PAIR_REGION, 0);
	if (storm_of(number) != PAIR_KEEP)
		memset(shadow[number], 0, PAIR_REGION);
}

static void fill(unsigned int number)
{
	size_t offset = below(span / ODP_PAGE) * ODP_PAGE;
	uint64_t stamp = nrand48(rnd);

	ask(PAIR_FILL, number, offset, ODP_PAGE, stamp);
	odp_stamp(shadow[number] + offset, ODP_PAGE, offset, stamp);
}

/* --- transfers --- */

static void post(struct pair_link *link, const struct transfer *x, uint64_t wr_id)
{
	struct odp_side remote = {
		there.region[x->region].addr + x->offset,
		there.region[x->region].key,
	};

	pair_rdma(link, x->reads ? IBV_WR_RDMA_READ : IBV_WR_RDMA_WRITE,
		  odp_at(local_mr, x->local), remote, x->len, wr_id);
}

static struct transfer make(unsigned int slot, unsigned int number)
{
	struct transfer x = {
		.region = number,
		.len = 1 + below(below(4) ? max_length / 8 : max_length),
		.local = slot * SLOT + below(ODP_PAGE),
		.reads = !only_writes && below(2),
	};

	x.offset = below(span - x.len + 1);
	if (local_mode != PAIR_PINNED && !below(2))
		madvise(local + slot * SLOT, SLOT, MADV_DONTNEED);
	if (!x.reads)
		memcpy(local + x.local, pool + below(MAX_LENGTH), x.len);
	return x;
}

/* What was read becomes the model: a byte that has gone must not come back. */
static bool matches(unsigned char *model, const unsigned char *got, size_t len, bool may_go)
{
	bool ok = true;

	if (!memcmp(model, got, len))
		return true;
	for (size_t i = 0; i < len; i++)
		ok &= got[i] == model[i] || (may_go && !got[i]);
	memcpy(model, got, len);
	return ok;
}

static void check(const struct transfer *x)
{
	unsigned char *model = shadow[x->region] + x->offset;

	bytes += x->len;
	if (!x->reads)
		memcpy(model, local + x->local, x->len);
	else if (!matches(model, local + x->local, x->len, storm_of(x->region) != PAIR_KEEP))
		complain(x, "wrong bytes");
}

static void batch(void)
{
	unsigned int count = 1 + below(PAIR_DEPTH);
	struct transfer x[PAIR_DEPTH];
	const char *error = NULL;
	struct ibv_wc wc;

	/* Different regions, so that no order between them matters */
	for (unsigned int i = 0, first = below(there.regions); i < count; i++) {
		unsigned int number = (first + i) % there.regions;

		if (i >= there.regions || storm_of(number) == PAIR_GONE) {
			count = i;
			break;
		}
		x[i] = make(i, number);
	}
	for (unsigned int i = 0; i < count; i++)
		post(&link_to[0], &x[i], i);
	for (unsigned int i = 0; i < count; i++) {
		wc = pair_wait(&link_to[0]);
		if (!wc.status)
			check(&x[wc.wr_id]);
		else if (!error)
			complain(&x[wc.wr_id], error = ibv_wc_status_str(wc.status));
	}
	broken = error;
}

/*
 * One that may fail, on a link of its own: what it did is then not known. The answer may
 * be lost, and comes once: rxe, for which seven retries are without end, has fewer.
 */
static void try_one(void)
{
	/* They are the last ones, if there are any */
	unsigned int number = there.regions - 1 - below(there.regions / 3 + 1);
	struct transfer x;
	struct ibv_wc wc;

	if (storm_of(number) != PAIR_GONE)
		return;
	x = make(0, number);
	post(&link_to[1], &x, 0);
	wc = pair_wait(&link_to[1]);
	if (!wc.status) {
		check(&x);
		return;
	}
	failed++;
	unanswered += wc.status == IBV_WC_RETRY_EXC_ERR;
	if (wc.status != IBV_WC_REM_ACCESS_ERR && wc.status != IBV_WC_RETRY_EXC_ERR)
		complain(&x, ibv_wc_status_str(wc.status));
	pair_join_owner(&o, link_to, tcp, NULL);
	drop(number);
}

/* --- the end --- */

/* By READs, after which the model has what was taken away; without them, what is kept. */
static void compare(unsigned int number)
{
	uint64_t sum = ask(PAIR_SUM, number, 0, span, 0);
	struct ibv_wc wc;

	if (only_writes && storm_of(number) != PAIR_KEEP)
		return;
	for (size_t offset = 0; offset < span && !only_writes; offset += max_length) {
		struct transfer x = { number, offset, max_length, 0, true };

		post(&link_to[0], &x, 0);
		wc = pair_wait(&link_to[0]);
		if (wc.status) {
			complain(&x, ibv_wc_status_str(wc.status));
			return;
		}
		check(&x);
	}
	if (pair_sum(shadow[number], span) != sum) {
		printf("region %u: the two machines do not see the same\n", number);
		wrong++;
	}
}

static void open_all(const char *host)
{
	struct pair_hello hello = { .mode = mode, .regions = 1 };

	odp_open(&o);
	link_to[1].retries = mode == PAIR_PINNED ? 0 : 6;
	tcp = pair_dial(host);
	pair_tell(tcp, &hello, sizeof(hello));
	pair_must_hear(tcp, &there, sizeof(there));
	local = odp_map(PAIR_DEPTH * SLOT);
	local_mr = odp_reg(&o, local, PAIR_DEPTH * SLOT, pair_access(local_mode));
	for (unsigned int i = 0; i < there.regions; i++)
		shadow[i] = odp_map(PAIR_REGION);
	/* No byte of it is zero */
	pool = odp_map(2 * MAX_LENGTH);
	for (size_t i = 0; i < 2 * MAX_LENGTH; i++)
		pool[i] = 1 + below(255);
	pair_join_owner(&o, link_to, tcp, NULL);
}

static void close_all(void)
{
	ask(PAIR_END, 0, 0, 0, 0);
	pair_part(link_to, PAIR_LINKS);
	ibv_dereg_mr(local_mr);
	odp_close(&o);
}

int main(int argc, char **argv)
{
	unsigned long count, taken, done = 0;

	if (argc < 5 || argc > 7 || (argc == 7 && strcmp(argv[6], "writes")))
		odp_die(0, "usage: pair_data HOST MODE COUNT LENGTH [MODE [writes]]");
	mode = pair_mode_of(argv[2]);
	local_mode = argc > 5 ? pair_mode_of(argv[5]) : mode;
	only_writes = argc == 7;
	count = strtoul(argv[3], NULL, 0);
	max_length = strtoul(argv[4], NULL, 0);
	if (max_length < ODP_PAGE || max_length > MAX_LENGTH || max_length % ODP_PAGE)
		odp_die(0, "LENGTH is of whole pages, and 64 KiB at most");
	span = SPAN * max_length;
	odp_seed(rnd);
	open_all(argv[1]);
	ask(PAIR_STORM, 0, 0, 0, 1);
	while (done < count && !broken) {
		unsigned long before = bytes;

		if (!below(16))
			drop(below(there.regions));
		if (!below(16))
			fill(below(there.regions));
		if (below(8))
			batch();
		else
			try_one();
		done += bytes != before;
	}
	taken = ask(PAIR_STORM, 0, 0, 0, 0);
	for (unsigned int i = 0; i < there.regions && !broken; i++)
		compare(i);
	close_all();
	printf("%lu batches, %lu KiB, %lu wrong, %lu failed where nothing was mapped\n", done,
	       bytes >> 10, wrong, failed);
	printf("pages were taken away %lu times, %lu answers were lost\n", taken, unanswered);
	return wrong ? ODP_DEFECT : ODP_OK;
}
