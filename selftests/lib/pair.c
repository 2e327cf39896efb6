// SPDX-License-Identifier: GPL-2.0
/* Two processes on two machines, see pair.h */

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "pair.h"

#define PORT		"18601"
#define DIAL_S		60	/* the other side may be starting */
#define DEAD_MS		20000	/* a connection that is dead for so long is given up */
#define WAIT_S		120	/* for a completion, in a network that loses packets */
#define ACK_TIMEOUT	15	/* 134 ms: more often than not something was lost */

/* What one side tells the other of its links. */
struct end {
	union ibv_gid gid;
	uint32_t mtu, qp_num[PAIR_LINKS];
};

/* --- TCP --- */

static struct addrinfo *resolve(const char *host, int flags)
{
	struct addrinfo hints = {
		.ai_family = AF_INET,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = flags,
	};
	struct addrinfo *list;
	int err = getaddrinfo(host, PORT, &hints, &list);

	if (err)
		odp_die(0, "%s: %s", host ?: "any address", gai_strerror(err));
	return list;
}

static void set_option(int tcp, int level, int name, int value)
{
	if (setsockopt(tcp, level, name, &value, sizeof(value)))
		odp_die(errno, "setsockopt");
}

static int ready(int tcp)
{
	set_option(tcp, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(tcp, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(tcp, IPPROTO_TCP, TCP_KEEPIDLE, DEAD_MS / 2000);
	set_option(tcp, IPPROTO_TCP, TCP_KEEPINTVL, DEAD_MS / 4000);
	set_option(tcp, IPPROTO_TCP, TCP_KEEPCNT, 2);
	set_option(tcp, IPPROTO_TCP, TCP_USER_TIMEOUT, DEAD_MS);
	return tcp;
}

int pair_listen(void)
{
	struct addrinfo *any = resolve(NULL, AI_PASSIVE);
	int listener = socket(any->ai_family, any->ai_socktype, 0), tcp;

	if (listener < 0)
		odp_die(errno, "socket");
	set_option(listener, SOL_SOCKET, SO_REUSEADDR, 1);
	if (bind(listener, any->ai_addr, any->ai_addrlen) || listen(listener, 1))
		odp_die(errno, "port " PORT);
	freeaddrinfo(any);
	tcp = accept(listener, NULL, NULL);
	if (tcp < 0)
		odp_die(errno, "accept");
	close(listener);
	return ready(tcp);
}

int pair_dial(const char *host)
{
	struct addrinfo *there = resolve(host, 0);
	time_t end = time(NULL) + DIAL_S;
	int tcp;

	for (;;) {
		tcp = socket(there->ai_family, there->ai_socktype, 0);
		if (tcp < 0)
			odp_die(errno, "socket");
		if (!connect(tcp, there->ai_addr, there->ai_addrlen))
			break;
		if (time(NULL) >= end)
			odp_die(errno, "%s, port " PORT, host);
		close(tcp);
		usleep(50000);
	}
	freeaddrinfo(there);
	return ready(tcp);
}

void pair_tell(int tcp, const void *what, size_t len)
{
	if (send(tcp, what, len, MSG_NOSIGNAL) != (ssize_t)len)
		odp_die(errno, "the other side");
}

bool pair_hear(int tcp, void *what, size_t len)
{
	return recv(tcp, what, len, MSG_WAITALL) == (ssize_t)len;
}

void pair_must_hear(int tcp, void *what, size_t len)
{
	if (!pair_hear(tcp, what, len))
		odp_die(0, "the other side has gone");
}

uint64_t pair_ask(int tcp, struct pair_request request)
{
	uint64_t answer;

	pair_tell(tcp, &request, sizeof(request));
	pair_must_hear(tcp, &answer, sizeof(answer));
	return answer;
}

/* --- links --- */

static void make(struct odp *o, struct pair_link *link)
{
	struct ibv_qp_init_attr init = {
		.qp_type = IBV_QPT_RC,
		.cap = {
			.max_send_wr = 2 * PAIR_DEPTH,
			.max_recv_wr = 2 * PAIR_DEPTH,
			.max_send_sge = 1,
			.max_recv_sge = 1,
		},
	};

	link->cq = ibv_create_cq(o->ctx, 4 * PAIR_DEPTH, NULL, NULL, 0);
	if (!link->cq)
		odp_die(errno, "ibv_create_cq");
	init.send_cq = link->cq;
	init.recv_cq = link->cq;
	link->qp = ibv_create_qp(o->pd, &init);
	if (!link->qp)
		odp_die(errno, "ibv_create_qp");
}

void pair_part(struct pair_link *link, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		if (!link[i].qp)
			continue;
		if (ibv_destroy_qp(link[i].qp) || ibv_destroy_cq(link[i].cq))
			odp_die(errno, "a queue pair cannot be destroyed");
		link[i] = (struct pair_link){ .retries = link[i].retries };
	}
}

void pair_join(struct odp *o, struct pair_link *link, unsigned int count, int tcp)
{
	struct end here = { .gid = o->gid, .mtu = o->mtu }, there;
	/* As odp_connect_to() takes them: with the other side's address */
	struct odp view = *o;

	pair_part(link, count);
	for (unsigned int i = 0; i < count; i++) {
		make(o, &link[i]);
		here.qp_num[i] = link[i].qp->qp_num;
	}
	pair_tell(tcp, &here, sizeof(here));
	pair_must_hear(tcp, &there, sizeof(there));
	view.gid = there.gid;
	if (there.mtu < here.mtu)
		view.mtu = there.mtu;
	view.ack_timeout = odp_env("ODP_ACK_TIMEOUT", ACK_TIMEOUT);
	for (unsigned int i = 0; i < count; i++) {
		view.retries = link[i].retries ?: o->retries;
		odp_connect_to(&view, link[i].qp, there.qp_num[i]);
	}
}

/* Nobody sends before the other side is ready to receive. */
void pair_start(int tcp)
{
	char word = 's';

	pair_tell(tcp, &word, 1);
	pair_must_hear(tcp, &word, 1);
}

void pair_join_owner(struct odp *o, struct pair_link *link, int tcp, void (*ready)(void))
{
	struct pair_request request = { .command = PAIR_JOIN };
	uint64_t answer;

	pair_tell(tcp, &request, sizeof(request));
	pair_join(o, link, PAIR_LINKS, tcp);
	if (ready)
		ready();
	pair_start(tcp);
	pair_must_hear(tcp, &answer, sizeof(answer));
}

void pair_post(struct pair_link *link, struct ibv_send_wr *wr)
{
	struct ibv_send_wr *bad;
	int err = ibv_post_send(link->qp, wr, &bad);

	if (err)
		odp_die(err, "ibv_post_send");
}

void pair_receive(struct pair_link *link, struct odp_side to, size_t len, uint64_t wr_id)
{
	struct ibv_sge sge = { .addr = to.addr, .length = len, .lkey = to.key };
	struct ibv_recv_wr wr = { .wr_id = wr_id, .sg_list = &sge, .num_sge = 1 }, *bad;
	int err = ibv_post_recv(link->qp, &wr, &bad);

	if (err)
		odp_die(err, "ibv_post_recv");
}

bool pair_poll(struct pair_link *link, struct ibv_wc *wc)
{
	int n = ibv_poll_cq(link->cq, 1, wc);

	if (n < 0)
		odp_die(0, "ibv_poll_cq failed");
	return n;
}

struct ibv_wc pair_wait(struct pair_link *link)
{
	const long limit = WAIT_S * odp_env("ODP_SLOW", 1);
	time_t end = time(NULL) + limit;
	struct ibv_wc wc;

	while (!pair_poll(link, &wc)) {
		sched_yield();
		if (time(NULL) > end)
			odp_die(0, "no completion in %ld s", limit);
	}
	return wc;
}

void pair_rdma(struct pair_link *link, enum ibv_wr_opcode op, struct odp_side local,
	       struct odp_side remote, size_t len, uint64_t wr_id)
{
	struct ibv_sge sge = { .addr = local.addr, .length = len, .lkey = local.key };
	struct ibv_send_wr wr = {
		.wr_id = wr_id,
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = op,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = { .remote_addr = remote.addr, .rkey = remote.key },
	};

	pair_post(link, &wr);
}

/* --- memory --- */

unsigned char *pair_map(bool huge)
{
	unsigned char *addr = mmap(NULL, 2 * PAIR_REGION, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char *start;

	if (addr == MAP_FAILED)
		odp_die(errno, "mmap of a region");
	/* At a huge page's start, and with nothing of ours behind it */
	start = (unsigned char *)(((uintptr_t)addr + PAIR_REGION - 1) & ~(PAIR_REGION - 1));
	if (start > addr)
		munmap(addr, start - addr);
	munmap(start + PAIR_REGION, addr + PAIR_REGION - start);
	madvise(start, PAIR_REGION, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	return start;
}

enum pair_mode pair_mode_of(const char *name)
{
	static const char * const names[] = { "odp", "explicit", "pinned" };

	for (int i = 0; i < 3; i++)
		if (!strcmp(name, names[i]))
			return i;
	odp_die(0, "the modes are odp, explicit and pinned, and '%s' is none", name);
}

int pair_access(enum pair_mode mode)
{
	return ODP_RW | IBV_ACCESS_REMOTE_ATOMIC |
	       (mode == PAIR_PINNED ? 0 : IBV_ACCESS_ON_DEMAND);
}

/* FNV-1a, of words: lengths are multiples of eight. */
uint64_t pair_sum(const void *addr, size_t len)
{
	const uint64_t *word = addr;
	uint64_t sum = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < len / sizeof(*word); i++)
		sum = (sum ^ word[i]) * 0x100000001b3ULL;
	return sum;
}
