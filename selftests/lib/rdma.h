/* SPDX-License-Identifier: GPL-2.0 */
/* What is in use of the RDMA device $ODP_DEV, as rdma(8) counts it. */
#ifndef RDMA_H
#define RDMA_H

#include <stdbool.h>
#include <stddef.h>

struct rdma_objects {
	unsigned long pd, cq, qp, mr, ctx, srq;
};

struct rdma_objects rdma_objects(void);

/* Waits until there are so many of each, for so many seconds; what there is then. */
bool rdma_objects_become(const struct rdma_objects *wanted, double s, struct rdma_objects *now);

void rdma_objects_print(const struct rdma_objects *objects, char *text, size_t len);

#endif
