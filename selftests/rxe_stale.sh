#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A fault or prefetch that races munmap, MADV_DONTNEED or mremap leaves no stale page.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"

ROUNDS=$(odp_rounds 1700 50000)	# pages taken away, read and written, of each of the six: over 10,000
PAGES=32

# figures WHAT: of the client that ran last
figures() {
	local rounds sweeps stale

	read -r rounds _ _ sweeps _ stale _ < <(tail -n 1 "$odp_tmp/output") || return 0
	[[ $stale =~ ^[0-9]+$ ]] || return 0
	odp_figure "$1, pages taken away" "$rounds"
	odp_figure "$1, races" "$sweeps"
	odp_figure "$1, stale pages" "$stale"
}

odp_init
odp_plan 7

rxe_use rust
for by in fault prefetch; do
	for how in dontneed munmap mremap; do
		odp_ok "$by and $how, $ROUNDS rounds: no stale page" \
			"$ODP_BIN/rxe_stale" "$by" "$how" "$ROUNDS" "$PAGES"
		figures "$by and $how"
	done
done
rxe_use stock
odp_control_freed "control, stock, prefetch and dontneed: freed pages are read" \
	"$ODP_BIN/rxe_stale" prefetch dontneed 400000 1024 1
figures "control, stock"

odp_finish
