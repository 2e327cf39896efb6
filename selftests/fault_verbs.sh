#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Verbs on ODP regions of rxe: each allocation fails once, then the call works, nothing is left.
#
# For rdma_rxe.ko, and for stock rxe with rust_umem_odp.ko. ODP_SOAK=1 adds stock C, to
# compare with.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"
# shellcheck source=lib/slab.sh
. "$ODP_HERE/lib/slab.sh"
# shellcheck source=lib/fault.sh
. "$ODP_HERE/lib/fault.sh"

odp_needs+=("$ODP_MODULE")
regions=(register register-absent deregister rereg prefetch prefetch-write
	prefetch-no-fault prefetch-later invalidate rdma-write)
rust_only=(register-implicit register-huge prefetch-implicit prefetch-huge)
windows=(alloc-mw bind-mw dealloc-mw)
carriers=(alloc-pd create-cq create-qp destroy-qp close)
SLACK=100	# objects; a leak is one for each of some hundred faults

# What is registered and made on the device now.
resources() {
	rdma resource show "$ODP_DEV" | sed 's/^[0-9]*: //'
}

resources_are_back() {
	echo "$1 before, $(resources) after"
	[[ $(resources) == "$1" ]]
}

# sweep WHO CALL…
sweep() {
	local who=$1 call before

	shift
	for call; do
		odp_run fault_warm_up fault_verbs "$call" || odp_log "warm-up: $call fails"
	done
	before=$(resources)
	slab_save
	for call; do
		odp_ok "$who: $call" fault_sweep fault_verbs "$call"
	done
	odp_ok "$who: nothing is charged any more" fault_nothing_left
	odp_ok "$who: resources of the device are back" resources_are_back "$before"
	odp_ok "$who: slab objects are back" slab_is_back "$SLACK"
}

# Stock C, for those who want to know: what it does wrong is no failure here.
compare() {
	local call injected=$fault_injected wrong=$fault_wrong

	rxe_use stock
	for call in "${regions[@]}" "${windows[@]}" "${carriers[@]}"; do
		odp_run fault_sweep fault_verbs "$call" || odp_log "stock C: $call is wrong"
	done
	odp_run fault_nothing_left || odp_log "stock C: something is left"
	odp_figure "stock C, to compare: faults injected" $((fault_injected - injected))
	odp_figure "stock C, to compare: wrong" $((fault_wrong - wrong))
	fault_injected=$injected fault_wrong=$wrong
}

odp_init
fault_begin
odp_plan $((3 + ${#regions[@]} + ${#rust_only[@]} + ${#windows[@]} + ${#carriers[@]} +
	3 + ${#regions[@]}))
odp_huge_pages 16

rxe_use rust
sweep "rdma_rxe.ko" "${regions[@]}" "${rust_only[@]}" "${windows[@]}" "${carriers[@]}"
rxe_use stock
odp_load
sweep "rust_umem_odp.ko" "${regions[@]}"
[[ ${ODP_SOAK:-0} != 1 ]] || compare
fault_figures
odp_finish
