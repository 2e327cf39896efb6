#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The module is loaded and removed, many times over, while verified RDMA runs.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"

ROUNDS=$(odp_rounds 50 200)

traffic_start() {
	"$ODP_BIN/traffic" >"$odp_tmp/traffic" 2>&1 &
	traffic=$!
	odp_at_exit traffic_kill
	odp_wait 30 grep -q running "$odp_tmp/traffic"
}

traffic_kill() {
	kill -KILL "$traffic" 2>/dev/null
}

traffic_right() {
	local status=0

	kill -TERM "$traffic"
	wait "$traffic" || status=$?
	cat "$odp_tmp/traffic"
	return "$status"
}

rust_serves() {
	(($(odp_counter faults) > 0 && $(odp_counter invalidations) > 0))
}

toggle() {
	local round

	for ((round = 1; round <= ROUNDS; round++)); do
		odp_load || return
		odp_wait 30 rust_serves || {
			echo "round $round: Rust is on, and serves nothing"
			return 1
		}
		(($(odp_counter fault_errors) == 0)) || {
			echo "round $round: a fault failed under Rust"
			return 1
		}
		odp_unload || return
		kill -0 "$traffic" || return
	done
	echo "$ROUNDS times loaded, serving and removed"
}

odp_init
odp_plan 3
odp_unload

odp_ok "verified traffic starts" traffic_start
odp_ok "the module is loaded, serves and is removed, $ROUNDS times" toggle
odp_ok "the traffic saw no wrong byte" traffic_right

odp_finish
