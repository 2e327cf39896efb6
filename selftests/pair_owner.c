// SPDX-License-Identifier: GPL-2.0
/*
 * Has memory that the other machine uses by RDMA (see lib/pair.h), and takes its pages
 * away meanwhile. Serves one client, to its end.
 *
 * pair_owner
 */

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/pair.h"

#define MAX_PAUSE_US	3000

struct region {
	unsigned char *addr;
	struct ibv_mr *mr;
	struct pair_place place;
};

static struct odp o;
static struct region region[PAIR_REGIONS], mailbox;
static unsigned int regions;
static struct ibv_mr *everything;	/* the implicit region */
static struct pair_link link_to[PAIR_LINKS];
static struct pair_hello hello;
static uint64_t received, right;
/* The storm holds it while it works on a region, and while one is not mapped. */
static pthread_mutex_t memory = PTHREAD_MUTEX_INITIALIZER;
static unsigned short storm_rnd[3], rnd[3];
static bool storm_on, storm_ends;
static uint64_t taken;

/* --- memory --- */

static void remap(struct region *r)
{
	if (mmap(r->addr, PAIR_REGION, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		odp_die(errno, "mmap of a region");
	madvise(r->addr, PAIR_REGION, r->place.huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

static void keep(struct region *r, size_t offset, size_t len, unsigned long how)
{
	if (how == 0)
		odp_share_with_child();
	else if (how == 1 && r->place.huge)
		madvise(r->addr, PAIR_REGION, MADV_COLLAPSE);
	else if (madvise(r->addr + offset, len, MADV_PAGEOUT))
		odp_die(errno, "MADV_PAGEOUT");
}

/* Takes pages away, whole ones, as the region's storm does. */
static void take(struct region *r, size_t offset, size_t len, unsigned short state[3])
{
	unsigned long how = odp_random(state, 8);

	switch ((enum pair_storm)r->place.storm) {
	case PAIR_KEEP:
		keep(r, offset, len, how);
		break;
	case PAIR_LOSE:
		if (how == 0)
			remap(r);
		else if (madvise(r->addr + offset, len, MADV_DONTNEED))
			odp_die(errno, "MADV_DONTNEED");
		break;
	case PAIR_GONE:
		if (munmap(r->addr, PAIR_REGION))
			odp_die(errno, "munmap");
		usleep(odp_random(state, 5 * MAX_PAUSE_US));
		remap(r);
		break;
	}
}

static void *storm(void *unused)
{
	(void)unused;
	while (!__atomic_load_n(&storm_ends, __ATOMIC_ACQUIRE)) {
		unsigned long number = odp_random(storm_rnd, regions + 1);
		struct region *r = number < regions ? &region[number] : &mailbox;
		size_t pages = PAIR_REGION / ODP_PAGE;
		/* The first pages are the most used ones */
		size_t first = odp_random(storm_rnd, 2) * odp_random(storm_rnd, pages);
		size_t count = 1 + odp_random(storm_rnd, pages - first);

		pthread_mutex_lock(&memory);
		if (storm_on && hello.mode != PAIR_PINNED) {
			take(r, first * ODP_PAGE, count * ODP_PAGE, storm_rnd);
			taken++;
		}
		pthread_mutex_unlock(&memory);
		usleep(odp_random(storm_rnd, MAX_PAUSE_US));
	}
	return NULL;
}

static void make_region(struct region *r, enum pair_storm kind, bool huge, bool implicit)
{
	r->addr = pair_map(huge);
	r->mr = implicit ? everything : odp_reg(&o, r->addr, PAIR_REGION, pair_access(hello.mode));
	r->place = (struct pair_place){
		.addr = (uintptr_t)r->addr,
		.key = r->mr->rkey,
		.storm = kind,
		.huge = huge,
		.implicit = implicit,
	};
}

/* All kinds there are: what stays pinned cannot be taken away. */
static void make_regions(void)
{
	unsigned int kinds = hello.mode == PAIR_PINNED ? 1 : 3;
	unsigned int ways = hello.mode == PAIR_ODP ? 2 : 1;

	if (hello.mode == PAIR_ODP) {
		everything = ibv_reg_mr(o.pd, NULL, SIZE_MAX, pair_access(hello.mode));
		if (!everything)
			odp_die(errno, "ibv_reg_mr of all memory");
	}
	for (unsigned int kind = 0; hello.regions && kind < kinds; kind++)
		for (unsigned int huge = 0; huge < 2; huge++)
			for (unsigned int way = 0; way < ways; way++)
				make_region(&region[regions++], kind, huge, way);
	make_region(&mailbox, PAIR_KEEP, false, false);
}

static void free_regions(void)
{
	for (unsigned int i = 0; i < regions; i++)
		if (!region[i].place.implicit && ibv_dereg_mr(region[i].mr))
			odp_die(errno, "ibv_dereg_mr");
	if (ibv_dereg_mr(mailbox.mr) || (everything && ibv_dereg_mr(everything)))
		odp_die(errno, "ibv_dereg_mr");
}

/* --- messages --- */

static void post_receive(unsigned int slot)
{
	pair_receive(&link_to[0], odp_at(mailbox.mr, PAIR_MAIL(slot)), PAIR_SLOT, slot);
}

/* What a message says of itself goes back, once it has been checked. */
static void answer(struct pair_message *message, bool ok, unsigned int slot)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)message,
		.length = sizeof(*message),
		.lkey = mailbox.mr->lkey,
	};
	struct ibv_send_wr wr = {
		.wr_id = slot,
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = IBV_WR_SEND,
		.send_flags = IBV_SEND_SIGNALED,
	};

	message->sum = ok ? ~message->sum : 0;
	pair_post(&link_to[0], &wr);
}

/* It comes in order, once, and as it went. */
static bool is_right(const struct pair_message *message, size_t len)
{
	const size_t head = sizeof(*message);

	return message->number == received && message->len == len &&
	       message->sum == pair_sum(message + 1, len - head) &&
	       odp_stamped(message + 1, len - head, received, len);
}

/* Receives are posted again when their answer has left. */
static bool serve_messages(void)
{
	struct pair_message *message;
	struct ibv_wc wc;
	bool ok;

	if (!link_to[0].qp || !pair_poll(&link_to[0], &wc))
		return false;
	if (wc.status)
		return true;
	if (!(wc.opcode & IBV_WC_RECV)) {
		post_receive(wc.wr_id);
		return true;
	}
	if (wc.opcode == IBV_WC_RECV_RDMA_WITH_IMM)
		message = (void *)(mailbox.addr + PAIR_WRITTEN(wc.imm_data % PAIR_DEPTH));
	else
		message = (void *)(mailbox.addr + PAIR_MAIL(wc.wr_id));
	ok = is_right(message, wc.byte_len);
	received++;
	right += ok;
	answer(message, ok, wc.wr_id);
	return true;
}

/* --- requests --- */

static void join(int tcp)
{
	pair_join(&o, link_to, PAIR_LINKS, tcp);
	for (unsigned int i = 0; hello.messages && i < PAIR_DEPTH; i++)
		post_receive(i);
	pair_start(tcp);
}

static struct region *region_of(const struct pair_request *request)
{
	if (request->region > regions || request->offset > PAIR_REGION ||
	    request->len > PAIR_REGION - request->offset)
		odp_die(0, "the client asks for memory that is not there");
	return request->region == regions ? &mailbox : &region[request->region];
}

static uint64_t serve_memory(const struct pair_request *request)
{
	struct region *r = region_of(request);
	uint64_t result = 0;

	pthread_mutex_lock(&memory);
	if (request->command == PAIR_DROP)
		take(r, request->offset, request->len, rnd);
	else if (request->command == PAIR_FILL)
		odp_stamp(r->addr + request->offset, request->len, request->offset,
			  request->value);
	else
		result = pair_sum(r->addr + request->offset, request->len);
	pthread_mutex_unlock(&memory);
	return result;
}

static uint64_t set_storm(bool on)
{
	uint64_t result;

	pthread_mutex_lock(&memory);
	storm_on = on;
	result = taken;
	pthread_mutex_unlock(&memory);
	return result;
}

static uint64_t serve(int tcp, const struct pair_request *request)
{
	switch ((enum pair_command)request->command) {
	case PAIR_JOIN:
		join(tcp);
		return 0;
	case PAIR_STORM:
		return set_storm(request->value);
	case PAIR_DROP:
	case PAIR_FILL:
	case PAIR_SUM:
		return serve_memory(request);
	case PAIR_COUNTER_IS:
		return *(volatile uint64_t *)(mailbox.addr + PAIR_COUNTER(request->offset & 1));
	case PAIR_MESSAGES:
		return received << 32 | right;
	case PAIR_END:
		return 0;
	}
	odp_die(0, "the client asks for something unknown");
}

static void serve_all(int tcp)
{
	struct pair_request request = { 0 };
	struct pollfd words = { .fd = tcp, .events = POLLIN };
	bool busy = false;
	uint64_t result;

	while (request.command != PAIR_END) {
		if (poll(&words, 1, busy ? 0 : 1) > 0) {
			pair_must_hear(tcp, &request, sizeof(request));
			result = serve(tcp, &request);
			pair_tell(tcp, &result, sizeof(result));
		}
		busy = serve_messages();
	}
}

int main(void)
{
	struct pair_welcome welcome = { 0 };
	pthread_t thread;
	int tcp, err;

	odp_seed(storm_rnd);
	memcpy(rnd, storm_rnd, sizeof(rnd));
	odp_open(&o);
	tcp = pair_listen();
	pair_must_hear(tcp, &hello, sizeof(hello));
	make_regions();
	welcome.regions = regions;
	for (unsigned int i = 0; i < regions; i++)
		welcome.region[i] = region[i].place;
	welcome.mailbox = mailbox.place;
	pair_tell(tcp, &welcome, sizeof(welcome));
	err = pthread_create(&thread, NULL, storm, NULL);
	if (err)
		odp_die(err, "pthread_create");
	serve_all(tcp);
	__atomic_store_n(&storm_ends, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	pair_part(link_to, PAIR_LINKS);
	free_regions();
	odp_close(&o);
	printf("owner: took pages away %lu times, received %lu messages, %lu right\n",
	       (unsigned long)taken, (unsigned long)received, (unsigned long)right);
	return received == right ? ODP_OK : ODP_DEFECT;
}
