#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Atomic operations are exact at every alignment, and while their page comes and goes.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"
# shellcheck source=lib/swap.sh
. "$ODP_HERE/lib/swap.sh"

COUNT=${COUNT:-$(odp_fewer 2000)}

odp_init
odp_plan 6
swap_on zram

rxe_use rust
odp_ok "Rust: status, result and memory at every alignment are as pinned" \
	"$ODP_BIN/rxe_atomics" align
odp_ok "Rust: 4 x $COUNT concurrent additions add up" \
	"$ODP_BIN/rxe_atomics" add odp "$COUNT"
odp_ok "Rust: no ATOMIC_WRITE of $((4 * COUNT)) is torn or lost" \
	"$ODP_BIN/rxe_atomics" write odp $((4 * COUNT))
odp_ok "pinned, as the reference: additions add up" \
	"$ODP_BIN/rxe_atomics" add pinned $((COUNT / 2))
odp_ok "pinned, as the reference: no ATOMIC_WRITE is torn or lost" \
	"$ODP_BIN/rxe_atomics" write pinned $((2 * COUNT))
rxe_use stock
odp_control "control, C: results are put in the wrong place" \
	"$ODP_BIN/rxe_atomics" align

odp_finish
