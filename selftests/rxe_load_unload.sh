#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# rdma_rxe.ko comes and goes many times, in use between, alone and beside rust_umem_odp.ko.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"
# shellcheck source=lib/slab.sh
. "$ODP_HERE/lib/slab.sh"

ROUNDS=$(odp_rounds 20 200)
WARM=4		# of them before the baseline, one of each kind
SLACK=50	# objects; a leak is some for each round

use() {
	odp_steps_start
	odp_step "map 200" reg "write 1" "check 1" "drop 0 100" "write 2" "read 2" \
		"prefetch 0 200 rw" "unmap 100 100" dereg "map 16" reg "write 3" \
		"read 3" && odp_steps_stop
}

# rxe lets its users go: their device is gone, and they are told.
removed_while_in_use() {
	local status=0

	"$ODP_BIN/traffic" >"$odp_tmp/traffic" 2>&1 &
	traffic=$!
	odp_wait 30 grep -q running "$odp_tmp/traffic"
	odp_steps_start
	odp_step "map 200" reg "write 1" || return
	timeout 30 rmmod rdma_rxe || return
	rxe_now=none
	if odp_step "map 16" reg; then
		echo "a region can be made on a device that is gone"
		status=1
	fi
	odp_steps_stop || status=$?
	kill -KILL "$traffic" 2>/dev/null || true
	wait "$traffic" || true
	return "$status"
}

# Every other round has the livepatch beside it, which comes first or last.
round() {
	rxe_remove || return
	(($1 % 4 != 1)) || odp_load || return
	insmod "$RXE_MODULE" && rxe_link || return
	(($1 % 4 != 3)) || odp_load || return
	use && odp_unload
}

rounds() {
	local number

	for ((number = 0; number < $1; number++)); do
		round "$number" || {
			echo "round $number failed"
			return 1
		}
	done
	echo "$1 times loaded, used and removed"
}

odp_init
odp_plan 3
rxe_use rust

odp_ok "removed while regions are in use" removed_while_in_use
# What is made at the first use is there before the baseline
odp_run rounds "$WARM"
ROUNDS=$((ROUNDS - WARM))
slab_save
odp_ok "loaded, used and removed $ROUNDS times more" rounds "$ROUNDS"
odp_ok "slab objects are back" slab_is_back "$SLACK"

odp_finish
