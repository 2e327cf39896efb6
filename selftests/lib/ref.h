/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Processes that make, use and destroy objects of RDMA devices at random, amid page
 * faults: what rxe_ref_storm, who starts and ends them, shares with them.
 *
 * A process has all of its objects on two devices, which may be one. Who runs into an
 * error goes on: what is in question is that each call returns, and that nothing is left
 * of an object that was destroyed.
 */
#ifndef REF_H
#define REF_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define REF_PROCESSES	3
#define REF_THREADS	4	/* of a process; the first thread has a call, too */
#define REF_DEVICES	2

enum ref_order {
	REF_GO,
	REF_EXIT,		/* at once, amid all of it */
	REF_TIDY,		/* destroy all, each call must succeed, and exit */
};

enum ref_count {
	REF_POSTED, REF_DONE, REF_FAILED, REF_FLUSHED, REF_BOUND, REF_INVALIDATED,
	REF_OVERFLOWS, REF_RESETS, REF_ERRORS, REF_QPS, REF_REGIONS, REF_REREGS,
	REF_WINDOWS, REF_SRQS, REF_ADVISED, REF_FAULTS, REF_SERVED, REF_COUNTS
};

/* What a thread is in. */
struct ref_call {
	const char *volatile name;	/* or NULL */
	volatile double since;
};

struct ref_process {
	pid_t pid;
	atomic_uint order;
	atomic_int uffd;
	unsigned short seed[3];
	struct ref_call calls[REF_THREADS + 1];
};

/* In memory that all processes share. */
struct ref_storm {
	const char *devices[REF_DEVICES];
	bool stuck;			/* a call that waits, as a control */
	struct ref_process processes[REF_PROCESSES];
	atomic_ulong counts[REF_COUNTS];
	volatile double slowest;	/* of all calls, in seconds */
	const char *volatile slowest_name;
};

/* A process; ends as it is told to. */
__attribute__((noreturn)) void ref_run(struct ref_storm *s, struct ref_process *self);

/* --- within a process: lib/ref_objects.c and lib/ref_work.c ------------------------------ */

#include "odp.h"

#define REF_PAIRS	8
#define REF_MWS		6
#define REF_LEN		(64 * ODP_PAGE)	/* of each kind of memory */

enum ref_memory { REF_ANONYMOUS, REF_FILE, REF_HELD, REF_PINNED, REF_MEMORIES };

struct ref_region {
	pthread_mutex_t lock;
	struct ibv_mr *mr;
	enum ref_memory memory;
	/* For those who do not have the lock; may be too old */
	atomic_uintptr_t addr;
	atomic_uint key;
};

struct ref_window {
	pthread_mutex_t lock;
	struct ibv_mw *mw;
	atomic_uintptr_t addr;
	atomic_uint rkey;
};

/* Two queue pairs, of which each has a CQ of its own. */
struct ref_pair {
	pthread_mutex_t lock;
	enum ibv_qp_type type;
	unsigned int device[2];
	struct ibv_qp *qp[2];
	struct ibv_cq *cq[2];
	struct ibv_ah *ah[2];
	bool has_srq[2];
};

struct ref_world {
	struct ref_storm *storm;
	struct ref_process *self;
	struct odp devices[REF_DEVICES];
	unsigned char *memory[REF_MEMORIES];
	int file, uffd;
	bool prefetches_held;	/* its prefetches may wait for as long as it lives */
	struct ref_region regions[REF_DEVICES][REF_MEMORIES];
	struct ref_window windows[REF_DEVICES][REF_MWS];
	struct ref_pair pairs[REF_PAIRS];
	pthread_mutex_t srq_lock;
	struct ibv_srq *srq[REF_DEVICES];
	atomic_bool stop;
};

struct ref_thread {
	struct ref_world *world;
	struct ref_call *call;
	unsigned short rnd[3];
};

void ref_begin(struct ref_thread *t, const char *name);
void ref_end(struct ref_thread *t);

/* A call that must return soon: others see what it is, and since when. */
#define REF_CALL(t, call, ...) ({ \
	struct ref_thread *t_ = (t); \
	\
	ref_begin(t_, #call); \
	__auto_type result_ = call(__VA_ARGS__); \
	ref_end(t_); \
	result_; \
})

static inline void ref_add(struct ref_thread *t, enum ref_count what)
{
	atomic_fetch_add(&t->world->storm->counts[what], 1);
}

/* Objects, each at random; those that cannot be made are NULL. */
void ref_make_region(struct ref_thread *t, unsigned int device, unsigned int slot);
void ref_make_window(struct ref_thread *t, unsigned int device, struct ref_window *w);
void ref_make_pair(struct ref_thread *t, struct ref_pair *p);
void ref_make_srq(struct ref_thread *t, unsigned int device);
int ref_connect_pair(struct ref_thread *t, struct ref_pair *p);

/* True if it is no more. */
bool ref_free_region(struct ref_thread *t, struct ref_region *r);
bool ref_free_window(struct ref_thread *t, struct ref_window *w);
bool ref_free_pair(struct ref_thread *t, struct ref_pair *p);
bool ref_free_srq(struct ref_thread *t, unsigned int device);

void *ref_work(void *thread);

#endif
