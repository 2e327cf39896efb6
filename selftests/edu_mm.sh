#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Swap, fork, mremap, MADV_*, KSM, compaction, files: right data under edu's DMA.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/edu.sh
. "$ODP_HERE/lib/edu.sh"
# shellcheck source=lib/swap.sh
. "$ODP_HERE/lib/swap.sh"
# shellcheck source=lib/mm.sh
. "$ODP_HERE/lib/mm.sh"

MS=${MS:-12000}	# of guest time, of each: about ten DMAs a second

# More memory than the group may have, all of it written by the device.
over_the_limit() {
	# shellcheck disable=SC2154 # odp_group is set by odp_cgroup
	echo 16M >"$odp_group/memory.max"
	# shellcheck disable=SC2016 # expanded by the shell within
	bash -c 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"' - "$odp_group" \
		"$ODP_BIN/edu_fault" limit 32
}

edu_init iommu direct list
odp_plan $((${#mm_kinds[@]} + 5))
odp_log "mode $(edu_mode)"
odp_cgroup
swap_on zram
for kind in "${mm_kinds[@]}"; do
	ms=$MS
	[[ $kind != compact ]] || ms=$((MS / 3))	# which is much work
	odp_ok "$kind: ${mm_what[$kind]}" "$ODP_BIN/edu_mm" "$kind" "$ms"
done
odp_ok "more than a cgroup may have: swapped out, and right" over_the_limit
odp_ok "a page that userfaultfd serves" "$ODP_BIN/edu_fault" served
odp_ok "a page that nobody serves holds up nobody else" \
	"$ODP_BIN/edu_fault" unserved
odp_ok "a DMA that waits for a page can be killed" "$ODP_BIN/edu_fault" killed
odp_ok "a PREFETCH of all there is can be killed" "$ODP_BIN/edu_fault" endless
odp_finish
