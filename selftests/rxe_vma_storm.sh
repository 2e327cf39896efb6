#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A storm of munmap, mremap, madvise, mprotect, fork and exit under RDMA: right data or an error.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"
# shellcheck source=lib/swap.sh
. "$ODP_HERE/lib/swap.sh"
# shellcheck source=lib/storm.sh
. "$ODP_HERE/lib/storm.sh"

ROUNDS=$(odp_rounds 4 120)	# owners, of which each ends in another way
MS=$(storm_ms 1500 5000)	# of each
ACTORS=map,hole,move_in,move_away,dontneed,free,protect,advise,pageout,prefetch
ACTORS+=,cpu_write,cpu_read,children

module_goes() {
	rxe_remove && [[ ! -e /sys/module/rdma_rxe ]]
}

odp_needs+=("$ODP_MODULE")	# stock rxe with it is right at the start of a page
odp_init
odp_plan 10
swap_on disk	# from zram, pages come back dirty: C would lose nothing

rxe_use rust
odp_ok "a region, $ROUNDS owners" storm "$ROUNDS" "$MS" "$ACTORS" effects
storm_figures region
odp_ok "implicit ODP, $((ROUNDS / 2)) owners" \
	storm $(((ROUNDS + 1) / 2)) "$MS" "$ACTORS" implicit effects
storm_figures implicit
for lie in stale foreign torn reached refused; do
	odp_control "control: what is $lie is seen" \
		storm 20 $((2000 * ODP_SLOW)) lie,cpu_write,dontneed,move_in "lie=$lie" enough
done
odp_ok "the module can be removed" module_goes

rxe_use stock
odp_load
odp_ok "stock rxe with $ODP_NAME.ko" storm $(((ROUNDS + 1) / 2)) "$MS" "$ACTORS" starts effects
storm_figures "$ODP_NAME"
odp_unload
odp_control "control, C: lost writes are seen" \
	storm 20 $((2000 * ODP_SLOW)) pageout,cpu_read,cpu_write starts enough

odp_finish
