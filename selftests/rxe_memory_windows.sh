#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Memory windows and ibv_rereg_mr do to an ODP region what they do to a pinned one.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"

odp_init
odp_plan 2

rxe_use rust
odp_ok "Rust: windows of both types and rereg_mr are as pinned" \
	"$ODP_BIN/rxe_memory_windows"
rxe_use stock
odp_control "control, C: wrong bytes through windows" \
	"$ODP_BIN/rxe_memory_windows"

odp_finish
