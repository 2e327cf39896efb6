#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A prefetch that fails at a hole leaves no page behind that was freed meanwhile.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"

ROUNDS=$(odp_rounds 1000 20000)

# figures WHAT: of the client that ran last
figures() {
	local stale pages rounds

	read -r stale _ _ pages _ _ _ rounds _ < <(tail -n 1 "$odp_tmp/output") || return 0
	[[ $stale =~ ^[0-9]+$ ]] || return 0
	odp_figure "$1, races" "$rounds"
	odp_figure "$1, pages read" "$pages"
	odp_figure "$1, stale pages" "$stale"
}

odp_init
odp_plan 2

odp_load
odp_ok "Rust: no stale page in $ROUNDS rounds" \
	"$ODP_BIN/prefetch_stale" "$ROUNDS"
figures Rust
odp_unload
odp_control_freed "control, C: freed pages are read" \
	"$ODP_BIN/prefetch_stale" $((20 * ROUNDS)) 1
figures "control, C"

odp_finish
