#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Regions up to 1 TiB work in all their length, and cost next to nothing untouched.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"

GIB=1024	# MiB

odp_init
odp_plan 8

rxe_use rust
for size in $((2 * GIB)) $((4 * GIB)) $((4 * GIB))+1 $((64 * GIB)) $((1024 * GIB)); do
	odp_ok "Rust: $size MiB (+ pages): first, last and random pages" \
		"$ODP_BIN/rxe_large_mr" odp "$size"
done
odp_ok "Rust: an untouched region of 1 TiB costs less than 64 KiB" \
	"$ODP_BIN/rxe_large_mr" memory $((1024 * GIB))
odp_ok "pinned, 64 MiB and a page, as the reference" \
	"$ODP_BIN/rxe_large_mr" pinned 64+1
rxe_use stock
odp_control "control, C: 2 GiB and more are refused" \
	"$ODP_BIN/rxe_large_mr" odp $((2 * GIB)) $((1024 * GIB))

odp_finish
