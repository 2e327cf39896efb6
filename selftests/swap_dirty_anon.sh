#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# RDMA writes to anonymous pages that the CPU only read survive swap-out.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/swap.sh
. "$ODP_HERE/lib/swap.sh"

odp_init
odp_plan 9
odp_cgroup

for device in zram disk; do
	swap_on "$device"
	odp_load
	odp_ok "Rust, $device: swapped in by reads, none lost" \
		swap_dirty anon swapin keep
	odp_ok "Rust, $device: the same, region deregistered before swap-out" \
		swap_dirty anon swapin release
	odp_ok "Rust, $device: MADV_FREE pages, none lost" \
		swap_dirty anon clean keep
	odp_unload
	# Swap-in from zram frees the slot and so dirties the page: nothing to lose
	[[ $device == zram ]] ||
		odp_control "control, C, $device: swapped in by reads, pages are lost" \
			swap_dirty anon swapin keep
	odp_control "control, C, $device: MADV_FREE pages are lost" \
		swap_dirty anon clean keep
	swap_off
done

odp_finish
