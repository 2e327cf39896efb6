#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Transfers of any kind, offset, length and MTU put every byte in its place.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"

COUNT=${COUNT:-$(odp_fewer 20000)}
HUGE_PAGES=24

# The path MTU of each queue pair is any up to the device's, so the largest has
# half of the transfers.
declare -A share=([4096]=2 [2048]=8 [1024]=8 [512]=8 [256]=8)

transfers() {
	rxe_mtu "$2" && "$ODP_BIN/rxe_transfer" "$1" $(($3 / share[$2]))
}

odp_init
odp_plan 7
odp_huge_pages "$HUGE_PAGES"

rxe_use rust
for mtu in 4096 2048 1024 512 256; do
	odp_ok "Rust: 0 wrong of $((COUNT / share[$mtu])) at an MTU of $mtu" \
		transfers odp "$mtu" "$COUNT"
done
odp_ok "pinned, as the reference: 0 wrong" transfers pinned 1024 $((COUNT / 5))
rxe_use stock
odp_control "control, C: most are wrong" transfers odp 4096 $((COUNT / 50))

odp_finish
