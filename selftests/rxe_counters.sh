#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# `rdma statistic` and `rdma resource` show a region's ODP counters and kind, as for mlx5.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"
# shellcheck source=lib/expect.sh
. "$ODP_HERE/lib/expect.sh"

PAGES=32
ODP_COUNTER_NAMES=(page_faults page_faults_handled page_invalidations
	page_invalidations_handled page_prefetch)

# In place of odp.sh's: the sum over all regions, of which one is of ODP.
odp_counter() {
	rdma -j statistic show mr | grep -oE "\"$1\": *[0-9]+" |
		awk -F: '{ sum += $2 } END { print sum + 0 }'
}

# How many regions have that text in the JSON of a command.
regions_with() {
	local text=$1

	shift
	{ rdma -j "$@" | grep -oE "$text" || true; } | wc -l
}

# regions_are NUMBER TEXT COMMAND…
regions_are() {
	local found

	found=$(regions_with "${@:2}")
	[[ $found == "$1" ]] || {
		echo "$found regions of $1 with $2"
		rdma -j "${@:3}"
		return 1
	}
}

all_counters_shown() {
	local name

	for name in "${ODP_COUNTER_NAMES[@]}"; do
		regions_are 1 "\"$name\":" statistic show mr || return
	done
}

# Of the two regions the other one is pinned.
one_of_two() {
	regions_are 2 '"mrn":' resource show mr &&
		regions_are 1 '"page_faults":' statistic show mr &&
		regions_are 1 '"drv_odp":' -dd resource show mr
}

fails_without_count() {
	odp_counters_save
	! odp_step "prefetch $((PAGES - 1)) 1 rw" &&
		moved page_prefetch=0 page_faults=0
}

# A fault brings in the resident neighbours, which then need none.
few_faults() {
	odp_step "drop 0 $PAGES" "fill 6" || return
	odp_counters_save
	odp_step "read 6" && moved page_faults=1+ page_faults_handled=1+ &&
		(($(odp_delta page_faults_handled) < PAGES / 4))
}

prefetched() {
	(($(odp_delta page_prefetch) == $1))
}

in_background() {
	odp_step "drop 0 $PAGES" || return
	odp_counters_save
	odp_step "queue 0 8" && odp_wait 10 prefetched 8 && odp_step "rdma 0 8 9" &&
		moved page_prefetch=8 page_faults=0
}

odp_init
odp_plan 20
rxe_use rust
odp_steps_start
odp_step "map $PAGES" reg

odp_ok "all five counters are shown" all_counters_shown
odp_ok "the region is shown as explicit" regions_are 1 \
	'"drv_odp": *"explicit"' -dd resource show mr
expect "a fresh region: nothing was mapped" \
	"prefetch 0 $PAGES nofault" page_faults=0 page_prefetch=0 \
	page_invalidations=0
expect "RDMA WRITE to absent pages: a fault for each" \
	"rdma 0 8 1" page_faults=8 page_faults_handled=8 page_prefetch=0
odp_ok "a pinned region has no counters and no kind" one_of_two
expect "RDMA WRITE to mapped pages: none" \
	"rdma 0 8 2" page_faults=0 page_faults_handled=0
expect "pages are given back: page_invalidations by the pages" \
	"drop 0 8" page_invalidations=8 page_invalidations_handled=1+
expect "the same again: no page is left to invalidate" \
	"drop 0 8" page_invalidations=0 page_invalidations_handled=0
expect "prefetch for writing: page_prefetch by the pages, no fault" \
	"prefetch 0 8 rw" page_prefetch=8 page_faults=0
odp_ok "prefetch in the background: the same, a moment later" in_background
expect "RDMA WRITE to what was prefetched: no fault" \
	"rdma 0 8 3" page_faults=0 page_faults_handled=0
expect "prefetch for reading of pages that are absent" \
	"drop 0 8;prefetch 0 8 ro" page_prefetch=8 page_invalidations=8
expect "RDMA WRITE to pages mapped for reading: faults" \
	"rdma 0 8 4" page_faults=8 page_faults_handled=1+
expect "prefetch without faults, of pages that are present" \
	"drop 0 $PAGES;fill 5;prefetch 0 8 nofault" page_prefetch=8+ \
	page_faults=0
odp_ok "RDMA READ of resident pages: fewer faults than pages" \
	few_faults
expect "munmap: page_invalidations" \
	"unmap $((PAGES - 1)) 1" page_invalidations=1
odp_ok "a prefetch that fails counts nothing" fails_without_count

odp_step dereg "map $PAGES" implicit
odp_ok "a region over all memory is shown as implicit" regions_are 1 \
	'"drv_odp": *"implicit"' -dd resource show mr
expect "and counts" "rdma 0 8 1;drop 0 8" page_faults=8 page_invalidations=8

odp_steps_stop

rxe_use stock
odp_steps_start
odp_step "map $PAGES" reg "rdma 0 8 1"
odp_control "control, stock: no counters" all_counters_shown
odp_steps_stop

odp_finish
