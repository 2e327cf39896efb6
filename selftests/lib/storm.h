/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A storm over the memory of an owner, while peers in another process work on it by
 * RDMA: what its processes share, who makes the storm, and the traffic.
 *
 * A life is that of an owner: he registers memory, the storm goes on for a while, and
 * he ends: amid all of it, or, in every second life, amid RDMA, when all of the memory
 * has been looked at. What is right says history.h.
 */
#ifndef STORM_H
#define STORM_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "history.h"
#include "odp.h"

#define STORM_PEERS	2
#define STORM_ACTORS	24	/* at most */
#define ACTOR_PART	4UL	/* pages that are changed at a time, but for huge ones */

enum storm_phase {
	STORM_STARTS,
	STORM_BLOWS,		/* peers and actors are at work */
	STORM_RESTS,		/* the actors are not: all memory is looked at */
	STORM_ENDS,		/* the owner goes, errors are right */
	STORM_OVER,		/* he has gone, peers go too */
};

/* Shared by all processes. What is not atomic is set before they are made. */
struct storm {
	struct history *history;
	size_t pages;
	bool implicit;		/* the region is all of the address space */
	bool starts_only;	/* messages of one packet, at a page's start */
	bool everywhere;	/* no part is worked on more than others */
	bool small;		/* pages, none of them huge */
	bool errors_are_right;	/* as on stock, where faults that pass end a pair */
	const char *lie;	/* what the actor "lie" does, or NULL */
	unsigned short seed[3];

	atomic_uint phase;
	atomic_uint rested;	/* who has looked at all of the memory */
	atomic_ulong ops, bytes, errors, reconnects, late;
	atomic_ulong verdicts[HISTORY_VERDICTS];
	atomic_ulong acts[STORM_ACTORS], children;
};

/* For peers and owner: judges what was seen of some blocks, and reports what is wrong. */
void storm_judge(struct storm *s, const char *who, size_t block, size_t blocks,
		 const unsigned char *seen, uint64_t from, uint64_t to);
void storm_verdict(struct storm *s, enum history_verdict verdict, const char *who,
		   const char *why);

/* A page where others are at work, too. */
size_t storm_page(struct storm *s, unsigned short rnd[3]);

static inline bool storm_phase_is(struct storm *s, enum storm_phase phase)
{
	return atomic_load(&s->phase) == phase;
}

/* --- the peers: lib/peers.c --------------------------------------------------------- */

/* The process of the peers, each with a socket to a thread of the owner's. */
__attribute__((noreturn)) void peers_run(struct storm *s, const int sockets[STORM_PEERS]);

/* The owner's threads that answer them. */
void peers_serve(struct storm *s, struct odp *o, struct ibv_mr *mr, unsigned char *addr,
		 const int sockets[STORM_PEERS]);

/* --- the actors: lib/actors.c, lib/actors_mm.c; their threads: lib/storm.c --- */

/* The owner's memory as his threads see it. */
struct area {
	struct storm *storm;
	struct odp *device;
	struct ibv_mr *mr;
	unsigned char *addr;
	pthread_mutex_t *turns;	/* of a page: held by who changes it */
};

/* A thread of the storm. */
struct actor_thread {
	struct area *area;
	unsigned short rnd[3];
	unsigned char *fresh, *parked, *kept;	/* pages to move in, and that were moved out */
	size_t parked_pages;
	unsigned int limited;	/* pages that it has taken out of use */
	size_t turns, first;	/* pages that it has the turn of */
};

struct actor {
	const char *name;
	void (*act)(struct actor_thread *t);
	bool alone;		/* it takes long, and has a thread of its own */
	const char *counter;	/* its effect in /proc/vmstat */
};

extern const struct actor storm_actors[], pressure_actors[];

/* The names, separated by commas. */
size_t actors_named(const char *names, const struct actor *actors[STORM_ACTORS]);

/* In the owner: the threads, which end when the storm rests. */
void actors_run(struct area *a, const struct actor *const actors[], size_t count);

/* Part of a page's turn: false if another thread has it. */
bool actor_turn(struct actor_thread *t, size_t page, size_t count);
void actor_done(struct actor_thread *t);

#endif
