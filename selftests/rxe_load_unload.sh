#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# rdma_rxe.ko comes and goes many times amid traffic, alone and beside rust_umem_odp.ko.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"
# shellcheck source=lib/slab.sh
. "$ODP_HERE/lib/slab.sh"
# shellcheck source=lib/traffic.sh
. "$ODP_HERE/lib/traffic.sh"

rounds=$(odp_rounds 20 200)
VERIFIED=416	# pages that one round of mr_steps does
WARM=4		# of them before the baseline, one of each kind
SLACK=$((50 + rounds / 4))	# objects; a leak is some for each round

use() {
	odp_steps_start
	odp_step "map 200" reg "write 1" "check 1" "drop 0 100" "write 2" "read 2" \
		"prefetch 0 200 rw" "unmap 100 100" dereg "map 16" reg "write 3" \
		"read 3" && odp_steps_stop
}

# rxe lets its users go: their device is gone, and they are told.
removed_while_in_use() {
	local status=0

	traffic_start || return
	odp_steps_start
	odp_step "map 200" reg "write 1" || return
	timeout $((30 * ODP_SLOW)) rmmod rdma_rxe || return
	rxe_now=none
	if odp_step "map 16" reg; then
		echo "a region can be made on a device that is gone"
		status=1
	fi
	odp_steps_stop || status=$?
	traffic_cut && return "$status"
}

# In a subshell: it is not to be counted.
wrong_byte_is_seen() (
	traffic_start wrong && odp_wait $((30 * ODP_SLOW)) grep -q 'is wrong' "$odp_tmp/traffic" &&
		! traffic_cut
)

# What the module works with stays for as long as it is there.
others_stay() {
	local module

	for module in ib_core ib_uverbs udp_tunnel; do
		! rmmod "$module" 2>/dev/null || {
			echo "$module was removed while it was in use"
			return 1
		}
	done
}

# Of every two rounds one takes the link away first, and one the module with its link.
take_away() {
	if (($1 / 2 % 2 == 0)) || ! rxe_goes_in_use; then
		rxe_remove
	else
		timeout $((30 * ODP_SLOW)) rmmod rdma_rxe && rxe_now=none
	fi
}

# Every other round has the livepatch beside it, which comes first or last.
round() {
	(($1 % 4 != 1)) || odp_load || return
	insmod "$RXE_MODULE" && rxe_link || return
	(($1 % 4 != 3)) || odp_load || return
	use && traffic_start && others_stay && sleep 0.2 && traffic_lives &&
		take_away "$1" && traffic_cut && odp_unload
}

rounds() {
	rxe_remove && odp_repeat "$1" round &&
		echo "$1 times loaded, used and removed amid traffic"
}

odp_init
odp_plan 4
rxe_use rust
odp_ok "control: a wrong byte is seen, though the client is killed" wrong_byte_is_seen

rxe_ok_in_use "removed while regions are in use" removed_while_in_use
# What is made at the first use is there before the baseline
odp_run rounds "$WARM"
slab_save
odp_ok "loaded, used and removed $((rounds - WARM)) times more" rounds $((rounds - WARM))
odp_ok "slab objects are back" slab_is_back "$SLACK"
odp_figure "rounds" "$rounds"
odp_figure "pages verified" $((rounds * VERIFIED))
odp_figure "wrong" "$traffic_wrong"
odp_finish
