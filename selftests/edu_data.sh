#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# DMA of the edu device: right bytes at any offset and length, in pages of every kind.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/edu.sh
. "$ODP_HERE/lib/edu.sh"

STEPS=${STEPS:-$(odp_fewer 150)}
declare -A what=(
	[small]="4 KiB pages, anonymous"
	[memfd]="4 KiB pages of a memfd"
	[file]="4 KiB pages of a file"
	[thp]="transparent huge pages"
	[split]="transparent huge pages that were split"
	[hugetlb]="huge pages"
	[mixed]="4 KiB pages beside huge pages"
	[top]="the last pages of user space"
)
kinds=(small memfd file thp split hugetlb mixed top)
changed=(target guard source)

# The stack may be where the last pages are wanted: another process has it elsewhere.
data() {
	local status

	for _ in {1..5}; do
		status=0
		"$ODP_BIN/edu_data" "$@" || status=$?
		[[ $status == "$KSFT_SKIP" ]] || break
	done
	return "$status"
}

edu_init iommu direct list
odp_plan $((${#kinds[@]} + ${#changed[@]}))
odp_log "mode $(edu_mode)"
odp_huge_pages 16
for kind in "${kinds[@]}"; do
	odp_ok "$kind: ${what[$kind]}" data "$kind" "$STEPS"
done
for byte in "${changed[@]}"; do
	odp_control "control: a changed byte is seen ($byte)" \
		"$ODP_BIN/edu_data" small 30 "$byte"
done
odp_finish
