#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Memory is unmapped, replaced, protected and forked under the edu device's DMAs.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/edu.sh
. "$ODP_HERE/lib/edu.sh"

STORM_S=${STORM_S:-100}	# seconds of guest time
LIMIT_S=$((STORM_S * 2 + 60))

edu_init iommu direct
odp_plan 2
odp_log "mode $(edu_mode)"
odp_ok "right data or an error, for $STORM_S s" \
	timeout -s KILL "$LIMIT_S" "$ODP_BIN/edu_storm" "$STORM_S"
odp_ok "the device works afterwards" "$ODP_BIN/edu_data" small 20 quick
odp_finish
