#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The owner of a region goes away amid RDMA of another process: nothing hangs or leaks.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"
# shellcheck source=lib/slab.sh
. "$ODP_HERE/lib/slab.sh"

ROUNDS=$(odp_rounds 60 2000)
SLACK=40	# objects; a leak is one for each round of a kind

module_goes() {
	rxe_remove && [[ ! -e /sys/module/rdma_rxe ]]
}

odp_init
odp_plan 4
rxe_use rust

# Once before, so that what is made at the first use is there
"$ODP_BIN/rxe_owner_exit" 8 >/dev/null
"$ODP_BIN/owner_exit" 8 >/dev/null
slab_save
odp_ok "$ROUNDS owners go, a peer works on their regions" \
	"$ODP_BIN/rxe_owner_exit" "$ROUNDS"
odp_ok "$((2 * ROUNDS)) owners go, amid their own faults and prefetches" \
	"$ODP_BIN/owner_exit" $((2 * ROUNDS))
odp_figure "owners that ended" $((3 * ROUNDS))
odp_ok "slab objects are back" slab_is_back "$SLACK"
odp_ok "the module can be removed" module_goes

odp_finish
