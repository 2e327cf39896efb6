#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Implicit ODP: one key for the whole address space, and nothing stays of what is unmapped.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"

STEPS=${STEPS:-$(odp_fewer 3000)}
ROUNDS=${ROUNDS:-$(odp_fewer 10000)}

odp_init
odp_plan 4

rxe_use rust
odp_ok "Rust: WRITE, READ, SEND and atomics all over the address space" \
	"$ODP_BIN/rxe_implicit" use "$STEPS"
odp_ok "Rust: what is not mapped, or read-only, is an error of that access" \
	"$ODP_BIN/rxe_implicit" unmapped
odp_ok "Rust: $ROUNDS regions come and go, their memory is given back" \
	"$ODP_BIN/rxe_implicit" churn "$ROUNDS"
rxe_use stock
odp_control "control, C: implicit ODP is refused" "$ODP_BIN/rxe_implicit" use 1

odp_finish
