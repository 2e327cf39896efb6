// SPDX-License-Identifier: GPL-2.0
/*
 * Both machines WRITE to and READ from the other's ODP memory, until the time is up or
 * the other one is lost: then every work request must complete, with an error, and all
 * must be freed.
 *
 * pair_traffic listen|HOST SECONDS
 *   SECONDS 0: until the other side is lost; else it is wrong to lose it
 *
 * Prints "running" when the first transfers are done.
 */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/pair.h"

#define PAGES	64
#define LEN	(PAGES * ODP_PAGE)
#define RETRIES	6	/* or $ODP_RETRIES; 7 is for ever */
#define RECEIVES PAIR_DEPTH
#define DRAIN_S	30

struct place {
	uint64_t addr;
	uint32_t key, unused;
};

static struct odp o;
static struct pair_link link_to[1];
static struct ibv_mr *mr, *local;	/* for the other side; what goes there and back */
static struct place there;
static int tcp;
static unsigned long posted, completed, flushed, wrong;
static enum ibv_wc_status first_error;

static void count(const struct ibv_wc *wc)
{
	completed++;
	flushed += wc->status == IBV_WC_WR_FLUSH_ERR;
}

/* PAIR_DEPTH pages from first on, to the other side or back; false after an error. */
static bool move(enum ibv_wr_opcode op, size_t first)
{
	for (size_t i = 0; i < PAIR_DEPTH; i++) {
		struct odp_side remote = { there.addr + (first + i) * ODP_PAGE, there.key };

		pair_rdma(&link_to[0], op, odp_at(local, (first + i) * ODP_PAGE), remote,
			  ODP_PAGE, 0);
		posted++;
	}
	for (size_t i = 0; i < PAIR_DEPTH; i++) {
		struct ibv_wc wc = pair_wait(&link_to[0]);

		count(&wc);
		first_error = wc.status;
		if (first_error)
			return false;
	}
	return true;
}

/* The pages of the region have to be found again: a fork makes them read-only. */
static void disturb(unsigned long round)
{
	if (round % 8)
		return;
	odp_share_with_child();
	madvise(mr->addr, LEN, MADV_PAGEOUT);
}

static bool round_trip(unsigned long number)
{
	size_t first = number * PAIR_DEPTH % PAGES;
	unsigned char *page = (unsigned char *)local->addr + first * ODP_PAGE;
	bool ok;

	disturb(number);
	for (size_t i = 0; i < PAIR_DEPTH; i++)
		odp_stamp(page + i * ODP_PAGE, ODP_PAGE, first + i, number);
	if (!move(IBV_WR_RDMA_WRITE, first))
		return false;
	madvise(page, PAIR_DEPTH * ODP_PAGE, MADV_DONTNEED);
	if (!move(IBV_WR_RDMA_READ, first))
		return false;
	for (size_t i = 0; i < PAIR_DEPTH; i++) {
		ok = odp_stamped(page + i * ODP_PAGE, ODP_PAGE, first + i, number);
		if (!ok && wrong++ < 10)
			printf("round %lu, page %zu: wrong bytes\n", number, first + i);
	}
	return true;
}

static void join(void)
{
	struct place here = { .addr = (uintptr_t)mr->addr, .key = mr->rkey };

	pair_tell(tcp, &here, sizeof(here));
	pair_must_hear(tcp, &there, sizeof(there));
	o.retries = odp_env("ODP_RETRIES", RETRIES);
	pair_join(&o, link_to, 1, tcp);
	for (int i = 0; i < RECEIVES; i++) {
		pair_receive(&link_to[0], odp_at(mr, LEN), ODP_PAGE, 0);
		posted++;
	}
	pair_start(tcp);
}

/* What was posted and has not completed yet is flushed: all of it. */
static void drain(void)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_ERR };
	time_t end = time(NULL) + DRAIN_S * odp_env("ODP_SLOW", 1);
	struct ibv_wc wc;
	int err = ibv_modify_qp(link_to[0].qp, &attr, IBV_QP_STATE);

	if (err)
		odp_die(err, "ibv_modify_qp to the error state");
	while (completed < posted && time(NULL) <= end) {
		if (pair_poll(&link_to[0], &wc))
			count(&wc);
		else
			usleep(1000);
	}
}

/* Both have had their time: neither goes before the other has. */
static void part(void)
{
	char word = 'e';

	if (send(tcp, &word, 1, MSG_NOSIGNAL) == 1)
		pair_hear(tcp, &word, 1);
}

int main(int argc, char **argv)
{
	unsigned long seconds, rounds = 0, transfers;
	time_t end;

	if (argc != 3)
		odp_die(0, "usage: pair_traffic listen|HOST SECONDS");
	seconds = strtoul(argv[2], NULL, 0);
	tcp = strcmp(argv[1], "listen") ? pair_dial(argv[1]) : pair_listen();
	odp_open(&o);
	mr = odp_reg(&o, odp_map(LEN + ODP_PAGE), LEN + ODP_PAGE, pair_access(PAIR_ODP));
	local = odp_reg(&o, odp_map(LEN), LEN, pair_access(PAIR_ODP));
	join();
	end = time(NULL) + seconds;
	while ((!seconds || time(NULL) < end) && round_trip(rounds)) {
		if (!rounds++) {
			printf("running\n");
			fflush(stdout);
		}
	}
	transfers = completed;
	if (!first_error)
		part();
	drain();
	pair_part(link_to, 1);
	if (ibv_dereg_mr(mr) || ibv_dereg_mr(local))
		odp_die(errno, "ibv_dereg_mr");
	odp_close(&o);
	printf("%s after %lu transfers, %lu wrong\n",
	       first_error ? ibv_wc_status_str(first_error) : "the end", transfers, wrong);
	printf("%lu posted, %lu completed, %lu of them flushed\n", posted, completed, flushed);
	return wrong || completed != posted || !seconds != !!first_error ? ODP_DEFECT : ODP_OK;
}
