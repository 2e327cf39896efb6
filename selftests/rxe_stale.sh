#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A fault or prefetch that races munmap, MADV_DONTNEED or mremap leaves no stale page.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"

ROUNDS=${ROUNDS:-1700}	# pages taken away, read and written, of each of the six: over 10,000 in all
PAGES=32

odp_init
odp_plan 7

rxe_use rust
for by in fault prefetch; do
	for how in dontneed munmap mremap; do
		odp_ok "$by and $how, $ROUNDS rounds: no stale page" \
			"$ODP_BIN/rxe_stale" "$by" "$how" "$ROUNDS" "$PAGES"
	done
done
rxe_use stock
odp_control "control, stock, prefetch and dontneed: freed pages are read" \
	"$ODP_BIN/rxe_stale" prefetch dontneed 200000 1024 1

odp_finish
