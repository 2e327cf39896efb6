#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A prefetch that fails at a hole leaves no page behind that was freed meanwhile.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"

ROUNDS=${ROUNDS:-1000}

odp_init
odp_plan 2

odp_load
odp_ok "Rust: no stale page in $ROUNDS rounds" \
	"$ODP_BIN/prefetch_stale" "$ROUNDS"
odp_unload
odp_control "control, C: freed pages are read" \
	"$ODP_BIN/prefetch_stale" $((5 * ROUNDS)) 1

odp_finish
