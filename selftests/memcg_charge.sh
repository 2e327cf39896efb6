#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The page list of a region is charged to the cgroup that registers it.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"

PAGES=$((1 << 18))	# 1 GiB, never touched: 2 MiB of page list
LIST=$((PAGES * 8))

# What a registration adds to memory.current. Charges are made in batches, so
# the figure is right to some 100 KiB.
charge() {
	local before after

	odp_steps_start
	echo "$odp_steps_pid" >"$odp_group/cgroup.procs"
	odp_step "map $PAGES" || return 2
	before=$(<"$odp_group/memory.current")
	odp_step reg || return 2
	after=$(<"$odp_group/memory.current")
	odp_step dereg || return 2
	odp_steps_stop
	echo "the page list has $LIST bytes, $((after - before)) were charged"
	((after - before >= LIST * 3 / 4)) || return 1
}

odp_init
odp_plan 2
odp_cgroup

odp_load
odp_ok "Rust: the page list is charged" charge
odp_unload
odp_control "control, C: it is not" charge

odp_finish
