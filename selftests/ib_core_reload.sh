#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The module is loaded before ib_core, and stays while ib_core goes and comes.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"

without_ib_core() {
	[[ ! -e /sys/module/ib_core ]]
}

insmod_first() {
	without_ib_core && odp_load
}

# A region served by Rust, from registration to release.
served() {
	odp_counters_save
	odp_steps_start
	odp_step "map 32" reg "write 1" "check 1" "read 1" "drop 0 16" \
		"write 2" "check 2" dereg && odp_steps_stop && odp_deltas &&
		(($(odp_delta umem_get) == 1 && $(odp_delta umem_release) == 1 &&
		  $(odp_delta page_faults) >= 32))
}

served_by_c() {
	! odp_loaded && odp_steps_start &&
		odp_step "map 32" reg "write 1" "check 1" dereg && odp_steps_stop
}

still_on() {
	without_ib_core && odp_patched
}

remove_without_ib_core() {
	odp_rdma_down && odp_unload && ! odp_loaded
}

odp_init
odp_plan 9
odp_unload
odp_at_exit odp_rdma_up

odp_ok "the RDMA modules are removed" odp_rdma_down
odp_ok "the module is loaded without ib_core" insmod_first
odp_ok "the RDMA modules come back" odp_rdma_up
odp_ok "Rust serves from the start" served
odp_ok "ib_core is removed while the module is on" odp_rdma_down
odp_ok "the module stays on" still_on
odp_rdma_up
odp_ok "Rust serves the new ib_core" served
odp_ok "the module is removed without ib_core" remove_without_ib_core
odp_rdma_up
odp_ok "C serves again" served_by_c

odp_finish
