/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Two processes on two machines: a TCP connection between them for what they have
 * to tell each other, and RC queue pairs ("links").
 *
 * pair_owner has memory, which the others (pair_data, pair_atomics, pair_messages)
 * use by RDMA, and does what they ask of it by TCP.
 */
#ifndef PAIR_H
#define PAIR_H

#include "odp.h"

#define PAIR_REGION	(2UL << 20)
#define PAIR_REGIONS	12	/* at most */
#define PAIR_LINKS	2
#define PAIR_DEPTH	8	/* work requests in flight on a link */
#define PAIR_SLOT	8192UL	/* bytes that a message may have */

/* What the owner's storm does to a region. */
enum pair_storm {
	PAIR_KEEP,	/* takes pages away, but keeps what is in them */
	PAIR_LOSE,	/* takes pages away: they are zeros when touched again */
	PAIR_GONE,	/* unmaps the region for a while */
};

enum pair_mode {
	PAIR_ODP,	/* explicit and implicit regions */
	PAIR_EXPLICIT,	/* no implicit ones: what stock rxe has */
	PAIR_PINNED,
};

struct pair_place {
	uint64_t addr;
	uint32_t key;
	uint8_t storm, huge, implicit, unused;
};

/* The first words: of the client, what it wants, and of the owner. */
struct pair_hello {
	uint32_t mode, regions, messages, unused;
};

/*
 * The mailbox is one more region (PAIR_KEEP): two counters, each in the middle of a
 * page of its own; from PAIR_SLOT on a slot for each message that is written, and
 * from PAIR_MAIL on one for each that is received.
 */
struct pair_welcome {
	uint32_t regions, unused;
	struct pair_place region[PAIR_REGIONS], mailbox;
};

#define PAIR_COUNTER(n)	((n) * ODP_PAGE + 2040)
#define PAIR_WRITTEN(n)	(PAIR_SLOT * (1 + (n)))
#define PAIR_MAIL(n)	(PAIR_REGION / 2 + PAIR_SLOT * (n))

enum pair_command {
	PAIR_JOIN,	/* new links; the two then call pair_join() */
	PAIR_STORM,	/* value: on; the answer: how often pages were taken since */
	PAIR_DROP,	/* takes pages away as the region's storm does */
	PAIR_FILL,	/* writes by the CPU: odp_stamp(…, offset, value) */
	PAIR_SUM,	/* pair_sum() of the bytes */
	PAIR_COUNTER_IS, /* that of number `offset` */
	PAIR_MESSAGES,	/* how many were received, and right */
	PAIR_END,
};

struct pair_request {
	uint32_t command, region;
	uint64_t offset, len, value;
};

/* A message: this, and stamped bytes behind it. */
struct pair_message {
	uint64_t number, len, sum;
};

struct pair_link {
	struct ibv_cq *cq;
	struct ibv_qp *qp;
	unsigned int retries;	/* 0: as many as struct odp says */
};

/* --- TCP --- */

/* Waits for one client; connects to a machine on which one does. */
int pair_listen(void);
int pair_dial(const char *host);

/* All bytes, or exit(ODP_ERROR). pair_hear fails at the connection's end. */
void pair_tell(int tcp, const void *what, size_t len);
bool pair_hear(int tcp, void *what, size_t len);
void pair_must_hear(int tcp, void *what, size_t len);

/* The client's half of a request: the answer. */
uint64_t pair_ask(int tcp, struct pair_request request);

/* --- links --- */

/*
 * Both sides: makes the links anew (none at the first time), connected to
 * the other side's. With receives, the caller posts them before pair_start().
 */
void pair_join(struct odp *o, struct pair_link *link, unsigned int count, int tcp);
void pair_start(int tcp);

/* The client's side of it: asks the owner for links; ready() posts receives, if any. */
void pair_join_owner(struct odp *o, struct pair_link *link, int tcp, void (*ready)(void));

void pair_part(struct pair_link *link, unsigned int count);

/* Sends go from, and receives to, one place; wr_id tells them apart. */
void pair_post(struct pair_link *link, struct ibv_send_wr *wr);
void pair_receive(struct pair_link *link, struct odp_side to, size_t len, uint64_t wr_id);

/* The next completion; pair_poll does not wait. */
bool pair_poll(struct pair_link *link, struct ibv_wc *wc);
struct ibv_wc pair_wait(struct pair_link *link);

/* An RDMA READ or WRITE, signalled; not waited for. */
void pair_rdma(struct pair_link *link, enum ibv_wr_opcode op, struct odp_side local,
	       struct odp_side remote, size_t len, uint64_t wr_id);

/* --- memory --- */

/* A region's memory, zeros: of huge pages where there are any, if huge. */
unsigned char *pair_map(bool huge);

/* odp or explicit: ODP; pinned: not. */
enum pair_mode pair_mode_of(const char *name);
int pair_access(enum pair_mode mode);

uint64_t pair_sum(const void *addr, size_t len);

#endif
