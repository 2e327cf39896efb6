#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A region that was made under C lives on under Rust, and the reverse.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"

# Writes and reads by RDMA, over pages mapped before and pages that fault now.
use() {
	odp_step "write $1" "check $1" "drop 0 16" "write $1" "read $1" \
		"check $1"
}

made_under_c() {
	odp_step "map 64" reg && use 1 && odp_load && odp_counters_save &&
		odp_step "read 1" "check 1" && use 2 && odp_deltas &&
		(($(odp_delta faults) > 0 && $(odp_delta invalidations) > 0))
}

released_by_rust() {
	odp_counters_save
	odp_step dereg && (($(odp_delta umem_release) == 1))
}

made_under_rust() {
	odp_counters_save
	odp_step "map 64" reg && use 3 && (($(odp_delta umem_get) == 1))
}

removed_with_live_region() {
	odp_unload && odp_step "read 3" "check 3" && use 4
}

there_and_back() {
	odp_load && odp_step "read 4" && use 5 && odp_unload &&
		odp_step "read 5" && use 6
}

released_by_c() {
	odp_step dereg
}

released_under_the_other() {
	odp_step "map 64" reg && use 7 && odp_load && odp_step dereg &&
		odp_step "map 64" reg "fill 8" && odp_unload && odp_step dereg
}

odp_init
odp_plan 7
odp_unload
odp_steps_start

odp_ok "made under C, used under Rust" made_under_c
odp_ok "made under C, deregistered under Rust" released_by_rust
odp_ok "made under Rust, used under Rust" made_under_rust
odp_ok "the module is removed, its region is used under C" \
	removed_with_live_region
odp_ok "the same region under Rust once more, and back" there_and_back
odp_ok "made under Rust, deregistered under C" released_by_c
odp_ok "made under one and deregistered unused under the other" \
	released_under_the_other

odp_steps_stop
odp_finish
