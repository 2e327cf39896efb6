#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Ranges that came and went, and killed processes, leave no IOVA, memory or process.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/edu.sh
. "$ODP_HERE/lib/edu.sh"
# shellcheck source=lib/slab.sh
. "$ODP_HERE/lib/slab.sh"

CYCLES=${CYCLES:-$(odp_fewer 10000)}
KILLS=${KILLS:-$(odp_fewer 300)}
HELD=600	# ranges that the control holds
SLACK=40	# objects; a leak is one for each cycle or kill

# Ranges that are alive are in the counts; page tables may be there from tests before.
counts_see_ranges() {
	local line status=0

	coproc holder { exec "$ODP_BIN/edu_leaks" hold "$HELD"; }
	# shellcheck disable=SC2154 # set by coproc
	local in=${holder[1]} pid=$holder_PID
	read -r -t 60 -u "${holder[0]}" line && [[ $line == ready ]] || return 2
	edu_usage_grew_by $((HELD / 2)) $((HELD + EDU_USAGE_SLACK)) || status=1
	exec {in}>&-
	wait "$pid"
	return "$status"
}

edu_init iommu direct
odp_log "mode $(edu_mode)"
odp_plan 6

edu_usage_save
if [[ $(edu_mode) == direct ]]; then
	odp_skip "control: the counts grow" "there is no IOVA in this mode"
else
	odp_ok "control: the counts grow with $HELD ranges" counts_see_ranges
fi
# Once before, so that what is made at the first use is there; and the kernel keeps
# page tables for the most IOVA that was ever used
"$ODP_BIN/edu_leaks" cycles 50 >/dev/null
"$ODP_BIN/edu_leaks" kills 5 >/dev/null
edu_usage_save
edu_slab_save
odp_ok "$CYCLES ranges came and went" "$ODP_BIN/edu_leaks" cycles "$CYCLES"
odp_ok "$KILLS processes killed amid DMAs" "$ODP_BIN/edu_leaks" kills "$KILLS"
odp_ok "IOVA and IOMMU page tables are back" edu_usage_is_back
odp_ok "slab objects are back" edu_slab_is_back "$SLACK"
odp_ok "the module can be removed" edu_unload
odp_finish
