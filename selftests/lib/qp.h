/* SPDX-License-Identifier: GPL-2.0 */
/*
 * More queue pairs than the two of odp.h, and operations that need more than a
 * work request: each pair is a struct odp of its own, with its own CQ, that
 * shares device and PD with the first.
 */
#ifndef QP_H
#define QP_H

#include "odp.h"

#define QP_QKEY		0x11111111
#define QP_GRH		40	/* bytes in front of what a UD queue pair receives */

struct qp_options {
	enum ibv_qp_type type;
	unsigned int sges, inline_bytes;
	struct ibv_srq *srq;		/* of the peer */
};

/* Makes and connects a pair; all operations of RC are allowed to it. */
void qp_open(struct odp *pair, const struct odp *o, struct qp_options options);
void qp_close(struct odp *pair);

/* Back to RTS after an error, or with another pair->mtu. */
void qp_connect(struct odp *pair);

/* CMP_SWP (if compare is the word, it becomes value) or FETCH_AND_ADD. */
enum ibv_wc_status qp_atomic(struct odp *pair, enum ibv_wr_opcode op,
			     struct odp_side result, struct odp_side remote,
			     uint64_t compare, uint64_t value);

enum ibv_wc_status qp_atomic_write(struct odp *pair, struct odp_side remote,
				   uint64_t value);

enum ibv_wc_status qp_flush(struct odp *pair, struct odp_side remote,
			    size_t len, unsigned int placement,
			    enum ibv_selectivity_level level);

#endif
