#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Random ioctls of edu_odp.ko: an errno, no harm, and the device works afterwards.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/edu.sh
. "$ODP_HERE/lib/edu.sh"

CALLS=${CALLS:-$(odp_fewer 120000)}
LIMIT_S=7200	# of guest time

# What is in memory of files that all processes use, and no range may have changed.
sum_of_files() {
	sha256sum /usr/lib/*/libc.so.6 /usr/lib/*/libibverbs.so.1 /usr/bin/bash
}

files_unchanged() {
	[[ $(sum_of_files) == "$sums" ]]
}

edu_init iommu direct
odp_plan 4
sums=$(sum_of_files)
odp_log "mode $(edu_mode)"
odp_ok "$CALLS random ioctls" timeout -s KILL "$LIMIT_S" \
	"$ODP_BIN/edu_fuzz" "$CALLS"
odp_ok "files that are mapped are unchanged" files_unchanged
odp_ok "the device works afterwards" "$ODP_BIN/edu_data" small 20 quick
odp_ok "the module can be removed" edu_unload
odp_finish
