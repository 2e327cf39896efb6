#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Swap, fork, mremap, MADV_*, KSM, compaction, files: right data under RDMA traffic.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"
# shellcheck source=lib/swap.sh
. "$ODP_HERE/lib/swap.sh"
# shellcheck source=lib/mm.sh
. "$ODP_HERE/lib/mm.sh"

MS=${MS:-2000}	# of each

# figures WHAT: of rxe_mm, which ran last
figures() {
	local steps pages wrong

	read -r _ steps _ pages _ _ wrong _ < <(tail -n 1 "$odp_tmp/output") || return 0
	[[ $wrong =~ ^[0-9]+$ ]] || return 0
	odp_figure "$1, steps" "$steps"
	odp_figure "$1, pages checked" "$pages"
	odp_figure "$1, wrong" "$wrong"
}

odp_init
odp_plan $((${#mm_kinds[@]} + 1 + 5 + 3))
odp_cgroup
rxe_use rust

swap_on zram
for kind in "${mm_kinds[@]}"; do
	odp_ok "$kind: ${mm_what[$kind]}" "$ODP_BIN/rxe_mm" "$kind" "$MS"
	figures "$kind"
done
odp_ok "zram: pages of a memfd that were only read, none lost" \
	swap_dirty memfd clean keep
swap_off
swap_on disk
odp_ok "disk: pages swapped out" "$ODP_BIN/rxe_mm" pageout "$MS"
odp_ok "disk: pages that were swapped in by reads, none lost" \
	swap_dirty anon swapin keep
odp_ok "disk: the same, deregistered before they are swapped out" \
	swap_dirty anon swapin release
odp_ok "disk: MADV_FREE pages, none lost" swap_dirty anon clean keep
odp_ok "disk: pages of a memfd that were only read, deregistered before" \
	swap_dirty memfd clean release

rxe_use stock
odp_control "control, stock: swapped in by reads, pages are lost" \
	swap_dirty anon swapin keep
odp_control "control, stock: MADV_FREE pages are lost" \
	swap_dirty anon clean keep
odp_control "control, stock: pages of a memfd that were only read are lost" \
	swap_dirty memfd clean keep

odp_finish
