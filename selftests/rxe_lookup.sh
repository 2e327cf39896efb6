#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What a packet has just found by its number is not freed before it is left alone.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"

ROUNDS=$(odp_rounds 10 200)
HOLDER=held_lookup

lookups() {
	local status=0

	insmod "$ODP_BIN/$HOLDER.ko" || return 2
	"$ODP_BIN/rxe_lookup" "$ROUNDS" || status=$?
	rmmod "$HOLDER" && return "$status"
}

odp_needs+=("$ODP_BIN/$HOLDER.ko")
odp_init
odp_plan 2
rxe_use rust
odp_ok "a queue pair is destroyed while a packet finds it" lookups
rxe_use stock
odp_control_freed "control, stock: it is freed then" lookups
odp_finish
