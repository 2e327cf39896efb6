// SPDX-License-Identifier: GPL-2.0
/*
 * FETCH_AND_ADD and CMP_SWP on a word of pair_owner's memory on another machine, while
 * its page comes and goes: each is done once, and once only.
 *
 * pair_atomics HOST odp|pinned COUNT
 *
 * All links add to one word, COUNT times in all, with several in flight: no two may
 * get the same result, and in the end the owner must have COUNT there. Then one link
 * counts another word up by CMP_SWP, each compared with what the one before left.
 */

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/pair.h"

#define SHOWN	10

static struct odp o;
static struct pair_link link_to[PAIR_LINKS];
static struct pair_welcome there;
static struct ibv_mr *local_mr;
static uint64_t *result;	/* PAIR_LINKS * PAIR_DEPTH, each in a page of its own */
static enum pair_mode mode;
static int tcp;
static unsigned long wrong;

static void complain(const char *what, unsigned long got, unsigned long wanted)
{
	if (wrong++ < SHOWN)
		printf("%s: %lu instead of %lu\n", what, got, wanted);
}

static uint64_t ask(enum pair_command command, size_t offset, uint64_t value)
{
	return pair_ask(tcp, (struct pair_request){ command, 0, offset, 0, value });
}

static size_t place_of(unsigned int slot)
{
	return slot * ODP_PAGE + 8 * (slot + 1);
}

static uint64_t *result_of(unsigned int slot)
{
	return (uint64_t *)((char *)result + place_of(slot));
}

static void post(struct pair_link *link, unsigned int slot, enum ibv_wr_opcode op,
		 unsigned int counter, uint64_t first, uint64_t second)
{
	struct odp_side local = odp_at(local_mr, place_of(slot));
	struct ibv_sge sge = { .addr = local.addr, .length = 8, .lkey = local.key };
	struct ibv_send_wr wr = {
		.wr_id = slot,
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = op,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.atomic = {
			.remote_addr = there.mailbox.addr + PAIR_COUNTER(counter),
			.rkey = there.mailbox.key,
			.compare_add = first,
			.swap = second,
		},
	};

	*result_of(slot) = ~0UL;
	if (mode != PAIR_PINNED && slot % 4 == 0)
		madvise((char *)result + slot * ODP_PAGE, ODP_PAGE, MADV_DONTNEED);
	pair_post(link, &wr);
}

/* The slot that a completion is of; exits if it is an error. */
static unsigned int complete(struct pair_link *link)
{
	struct ibv_wc wc = pair_wait(link);

	if (wc.status) {
		printf("atomic: %s\n", ibv_wc_status_str(wc.status));
		exit(ODP_DEFECT);
	}
	return wc.wr_id;
}

static void add(unsigned long count)
{
	unsigned char *seen = calloc(count, 1);
	unsigned long posted = 0, done = 0;

	if (!seen)
		odp_die(0, "no memory");
	for (; posted < PAIR_LINKS * PAIR_DEPTH && posted < count; posted++)
		post(&link_to[posted % PAIR_LINKS], posted, IBV_WR_ATOMIC_FETCH_AND_ADD, 0, 1, 0);
	for (; done < count; done++) {
		/* As they were posted, so that all links are in use */
		struct pair_link *link = &link_to[done % PAIR_LINKS];
		unsigned int slot = complete(link);
		uint64_t got = *result_of(slot);

		if (got >= count || seen[got]++)
			complain("FETCH_AND_ADD, not once", got, done);
		if (posted < count) {
			post(link, slot, IBV_WR_ATOMIC_FETCH_AND_ADD, 0, 1, 0);
			posted++;
		}
	}
	free(seen);
	if (ask(PAIR_COUNTER_IS, 0, 0) != count)
		complain("the owner's counter", ask(PAIR_COUNTER_IS, 0, 0), count);
}

static void swap(unsigned long count)
{
	unsigned long posted = 0, done = 0;

	while (done < count) {
		for (; posted < count && posted - done < PAIR_DEPTH; posted++)
			post(&link_to[0], posted % PAIR_DEPTH, IBV_WR_ATOMIC_CMP_AND_SWP, 1,
			     posted, posted + 1);
		if (*result_of(complete(&link_to[0])) != done)
			complain("CMP_SWP", *result_of(done % PAIR_DEPTH), done);
		done++;
	}
	if (ask(PAIR_COUNTER_IS, 1, 0) != count)
		complain("the owner's second counter", ask(PAIR_COUNTER_IS, 1, 0), count);
}

/* What is beside the counters, in both pages, is still zeros. */
static void check_neighbours(void)
{
	unsigned char *page = (unsigned char *)result;
	uint64_t word = 0;

	memset(page, 1, 2 * ODP_PAGE);
	pair_rdma(&link_to[0], IBV_WR_RDMA_READ, odp_at(local_mr, 0),
		  (struct odp_side){ there.mailbox.addr, there.mailbox.key }, 2 * ODP_PAGE, 0);
	complete(&link_to[0]);
	memset(page + PAIR_COUNTER(0), 0, sizeof(word));
	memset(page + PAIR_COUNTER(1), 0, sizeof(word));
	for (size_t i = 0; i < 2 * ODP_PAGE; i++)
		if (page[i]) {
			complain("a byte beside the counters", page[i], 0);
			break;
		}
}

int main(int argc, char **argv)
{
	struct pair_hello hello;
	unsigned long count, taken;
	size_t len;

	if (argc != 4)
		odp_die(0, "usage: pair_atomics HOST odp|pinned COUNT");
	mode = pair_mode_of(argv[2]);
	count = strtoul(argv[3], NULL, 0);
	hello = (struct pair_hello){ .mode = mode };
	len = (PAIR_LINKS * PAIR_DEPTH + 1) * ODP_PAGE;
	odp_open(&o);
	result = odp_map(len);
	local_mr = odp_reg(&o, result, len, pair_access(mode));
	tcp = pair_dial(argv[1]);
	pair_tell(tcp, &hello, sizeof(hello));
	pair_must_hear(tcp, &there, sizeof(there));
	pair_join_owner(&o, link_to, tcp, NULL);
	ask(PAIR_STORM, 0, 1);
	add(count);
	swap(count / 4);
	taken = ask(PAIR_STORM, 0, 0);
	check_neighbours();
	ask(PAIR_END, 0, 0);
	pair_part(link_to, PAIR_LINKS);
	ibv_dereg_mr(local_mr);
	odp_close(&o);
	printf("%lu FETCH_AND_ADDs, %lu CMP_SWPs, %lu wrong; pages taken away %lu times\n", count,
	       count / 4, wrong, taken);
	return wrong ? ODP_DEFECT : ODP_OK;
}
