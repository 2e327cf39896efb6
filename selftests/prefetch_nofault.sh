#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A prefetch without faults does not take away what came while it looked.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/swap.sh
. "$(dirname "$0")/lib/swap.sh"

ROUNDS=${ROUNDS:-$(odp_fewer 1000)}
SECONDS_EACH=30

odp_init
odp_plan 2
# From zram pages come in dirty, from a disk clean.
swap_on disk

odp_load
odp_ok "Rust: no write is lost" \
	"$ODP_BIN/prefetch_nofault" "$ROUNDS" "$SECONDS_EACH"
odp_unload
odp_control "control, C: writes are lost" \
	"$ODP_BIN/prefetch_nofault" 10 "$SECONDS_EACH"

odp_finish
