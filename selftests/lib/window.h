/* SPDX-License-Identifier: GPL-2.0 */
/* Memory windows, as the responder of a pair (pair->peer) binds and invalidates them. */
#ifndef WINDOW_H
#define WINDOW_H

#include "odp.h"

struct ibv_mw *window_alloc(struct ibv_pd *pd, enum ibv_mw_type type);

/* By a work request, of either type; the window has a new key then. */
enum ibv_wc_status window_bind(const struct odp *pair, struct ibv_mw *mw, struct ibv_mr *mr,
			       uint64_t addr, uint64_t len, int access);

/* The same, and key is what type 2 gets. */
enum ibv_wc_status window_bind_as(const struct odp *pair, struct ibv_mw *mw, struct ibv_mr *mr,
				  uint64_t addr, uint64_t len, int access, uint32_t key);

enum ibv_wc_status window_invalidate(const struct odp *pair, uint32_t key);

/* pair->qp sends "invalidate this", which its peer receives. Both must succeed. */
enum ibv_wc_status window_invalidate_remote(const struct odp *pair, uint32_t key);

#endif
