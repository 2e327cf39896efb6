/* SPDX-License-Identifier: GPL-2.0 */
/* Random verbs, for rxe_verbs_fuzz. */
#ifndef VERBS_FUZZ_H
#define VERBS_FUZZ_H

#include <pthread.h>
#include <stdatomic.h>

#include "odp.h"

#define FUZZ_HANDLES	12	/* of each kind that are remembered */
#define FUZZ_PAGES	64UL	/* of memory */

enum fuzz_kind { FUZZ_PD, FUZZ_MR, FUZZ_MW, FUZZ_CQ, FUZZ_QP, FUZZ_SRQ, FUZZ_AH, FUZZ_KINDS };

enum fuzz_operation {
	FUZZ_MAKE_PD, FUZZ_MAKE_MR, FUZZ_MAKE_MW, FUZZ_MAKE_CQ, FUZZ_MAKE_QP, FUZZ_MAKE_SRQ,
	FUZZ_MAKE_AH, FUZZ_DESTROY, FUZZ_REREG_MR, FUZZ_RESIZE_CQ, FUZZ_ASK_CQ, FUZZ_MODIFY_QP,
	FUZZ_QUERY, FUZZ_MODIFY_SRQ, FUZZ_MCAST, FUZZ_ADVISE, FUZZ_POST, FUZZ_IOCTL,
	FUZZ_WRITE, FUZZ_MEMORY, FUZZ_OPERATIONS,
};

extern const char *const fuzz_names[FUZZ_OPERATIONS];

/* Of all processes together. */
struct fuzz_counts {
	atomic_ulong made[FUZZ_OPERATIONS], accepted[FUZZ_OPERATIONS];
};

struct fuzz {
	struct odp o;
	struct fuzz_counts *counts;
	char *memory;
	atomic_uint handles[FUZZ_KINDS][FUZZ_HANDLES];
	atomic_uint keys[FUZZ_HANDLES];		/* of regions and windows */
	atomic_uint qpns[FUZZ_HANDLES];
	pthread_mutex_t post_lock;
};

struct fuzz_thread {
	struct fuzz *f;
	pthread_t id;
	unsigned short rnd[3];
};

/* What can be done with objects; each returns an errno. */
int fuzz_rereg_mr(struct fuzz_thread *t);
int fuzz_resize_cq(struct fuzz_thread *t);
int fuzz_ask_cq(struct fuzz_thread *t);
int fuzz_modify_qp(struct fuzz_thread *t);
int fuzz_query(struct fuzz_thread *t);
int fuzz_modify_srq(struct fuzz_thread *t);
int fuzz_mcast(struct fuzz_thread *t);
int fuzz_advise(struct fuzz_thread *t);
int fuzz_post(struct fuzz_thread *t);
int fuzz_any_ioctl(struct fuzz_thread *t);
int fuzz_any_write(struct fuzz_thread *t);
int fuzz_change_memory(struct fuzz_thread *t);

void fuzz_open(struct fuzz *f, struct fuzz_counts *counts);

/* One call of any kind. */
void fuzz_call(struct fuzz_thread *t);

#endif
