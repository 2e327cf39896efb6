#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# RDMA writes to pages of a memfd that the CPU only read survive swap-out.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/swap.sh
. "$ODP_HERE/lib/swap.sh"

odp_init
odp_plan 8
odp_cgroup

for device in zram disk; do
	swap_on "$device"
	odp_load
	odp_ok "Rust, $device: swapped in by reads, none lost" \
		swap_dirty memfd swapin keep
	odp_ok "Rust, $device: holes that were read, none lost" \
		swap_dirty memfd clean keep
	odp_ok "Rust, $device: the same, region deregistered before swap-out" \
		swap_dirty memfd clean release
	odp_unload
	# No control for the first: tmpfs dirties each page that it swaps in
	odp_control "control, C, $device: holes that were read, pages are lost" \
		swap_dirty memfd clean keep
	swap_off
done

odp_finish
