/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the C half of rxe has that its Rust half uses, and what the kernel's own
 * Rust bindings leave out of the headers of others.
 */

#include <rdma/ib_verbs.h>
#include <rdma/rdma_netlink.h>
#include <rdma/restrack.h>

#include "rxe.h"
#include "rxe_ring.h"
