#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The module is loaded and removed, many times over, while verified RDMA runs.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/traffic.sh
. "$ODP_HERE/lib/traffic.sh"

rounds=$(odp_rounds 15 200)

rust_serves() {
	(($(odp_counter faults) > 0 && $(odp_counter invalidations) > 0))
}

stays_while_on() {
	! rmmod "$ODP_NAME" 2>"$odp_tmp/rmmod" && grep -q "in use" "$odp_tmp/rmmod"
}

round() {
	odp_load || return
	odp_wait $((30 * ODP_SLOW)) rust_serves || {
		echo "Rust is on, and serves nothing"
		return 1
	}
	stays_while_on || {
		echo "the module was removed while it served: $(<"$odp_tmp/rmmod")"
		return 1
	}
	(($(odp_counter fault_errors) == 0)) || {
		echo "a fault failed under Rust"
		return 1
	}
	odp_unload && traffic_lives
}

toggle() {
	odp_repeat "$rounds" round && echo "$rounds times loaded, serving and removed"
}

odp_init
odp_plan 3
odp_unload

odp_ok "verified traffic starts" traffic_start
odp_ok "the module is loaded, serves and is removed, $rounds times" toggle
odp_ok "the traffic saw no wrong byte" traffic_right
odp_figure "rounds" "$rounds"
traffic_figures
odp_finish
