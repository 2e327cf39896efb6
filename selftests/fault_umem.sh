#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The six functions: each allocation fails once, the caller gets ENOMEM, and nothing is left.
#
# Once for a device with virtual DMA (rxe) and once for one with real DMA.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/slab.sh
. "$ODP_HERE/lib/slab.sh"
# shellcheck source=lib/fault.sh
. "$ODP_HERE/lib/fault.sh"

abi_module=umem_odp_abi
calls=(get get-huge implicit child fault-write fault-partly fault-read fault-huge
	snapshot unmap invalidate release)
# C does not do right what is about huge pages, with faults or without.
calls_of_c=(get implicit child unmap invalidate release)
rounds=$(odp_rounds 3 30)
SLACK=$((50 + rounds))	# objects; a leak is one for each of some hundred faults

abi_load() {
	abi_unload
	insmod "$ODP_HERE/$abi_module.ko" "$@"
}

abi_unload() {
	[[ ! -e /sys/module/$abi_module ]] || rmmod "$abi_module"
}

sweep_rounds() {
	local round

	for ((round = 0; round < rounds; round++)); do
		fault_sweep fault_umem "$1" || return
	done
}

warm_up() {
	local call

	for call in "${calls[@]}"; do
		fault_warm_up fault_umem "$call" || echo "warm-up: $call fails"
	done
}

same_references() {
	echo "references of the module: $references before, $(<"$refcnt") after"
	[[ $(<"$refcnt") == "$references" ]]
}

# A umem that outlives its process, as one that leaks would.
held_umem_counts() {
	local status=0

	exec {held}<>"/dev/$abi_module"
	fault_sweep fault_umem hold <&"$held" || return 2
	sleep 3	# the kernel brings charges up to date every two seconds
	FAULT_WAIT=4 fault_nothing_left || status=1
	exec {held}>&-
	return "$status"
}

# of_rust DMA-KIND MODULE-PARAMETER…
of_rust() {
	local dma=$1 call

	shift
	abi_load "$@"
	odp_load
	warm_up
	references=$(<"$refcnt")
	slab_save
	for call in "${calls[@]}"; do
		odp_ok "Rust, $dma: $call" sweep_rounds "$call"
	done
	odp_ok "Rust, $dma: nothing is charged any more" fault_nothing_left
	odp_ok "Rust, $dma: slab objects are back" slab_is_back "$SLACK"
	odp_ok "Rust, $dma: references of the module are back" same_references
}

# What C does wrong: the device has pages after a fault that failed.
of_c() {
	local dma=$1 call injected=$fault_injected wrong=$fault_wrong sweeps=$fault_sweeps

	shift
	abi_load "$@"
	odp_unload
	warm_up
	for call in "${calls_of_c[@]}"; do
		odp_ok "C, $dma: $call" fault_sweep fault_umem "$call"
	done
	odp_control "control, C, $dma: a fault that failed leaves pages" \
		fault_sweep fault_umem fault-partly
	odp_run fault_nothing_left || odp_log "C, $dma: something is left"
	fault_injected=$injected fault_wrong=$wrong fault_sweeps=$sweeps
}

odp_init
[[ -e $ODP_HERE/$abi_module.ko ]] || odp_skip_all "no $abi_module.ko"
fault_begin
odp_plan $((1 + 2 * (${#calls[@]} + 3 + ${#calls_of_c[@]} + 1)))
odp_at_exit abi_unload
odp_huge_pages 16
refcnt=/sys/module/$ODP_NAME/refcnt

of_rust "virtual DMA" netdev="$(odp_find_netdev)"
odp_control "control: a umem that is held is seen" held_umem_counts
of_rust "real DMA"
of_c "virtual DMA" netdev="$(odp_find_netdev)"
of_c "real DMA"
fault_figures
odp_finish
