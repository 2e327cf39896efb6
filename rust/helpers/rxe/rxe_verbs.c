// SPDX-License-Identifier: GPL-2.0

#include "rxe.h"

struct rxe_pool *rust_helper_rxe_mr_pool(struct ib_device *dev)
{
	return &to_rdev(dev)->mr_pool;
}

bool rust_helper_rxe_odp_is_going(struct ib_device *dev)
{
	return READ_ONCE(to_rdev(dev)->odp_going);
}
