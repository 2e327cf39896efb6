#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A fault that fails for a while is repeated, or the sender waits: no pair is lost.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"
# shellcheck source=lib/cases.sh
. "$ODP_HERE/lib/cases.sh"
# shellcheck source=lib/swap.sh
. "$ODP_HERE/lib/swap.sh"

MS=${MS:-300}		# of each storm
PAGES=2048		# 8 MiB
LIMIT=4M		# of the cgroup

# shellcheck disable=SC2154 # odp_group is set by odp_cgroup
fill() {
	echo "$LIMIT" >"$odp_group/memory.max"
	bash -c 'echo $$ >"$1/cgroup.procs"; echo -1000 >/proc/self/oom_score_adj
		shift; exec "$@"' - "$odp_group" "$ODP_BIN/rxe_fill" "$PAGES"
}

fill_with_swap() {
	fill || return
	echo "swapped: $(<"$odp_group/memory.swap.peak") bytes at most"
	(($(<"$odp_group/memory.swap.peak") > 0))
}

oom_seen() {
	[[ $(sed -n 's/^oom //p' "$odp_group/memory.events") != "$oom_before" ]]
}

# There is no memory and nobody to be killed for it, until somebody gives more.
fill_until_raised() {
	local raise status=0

	oom_before=$(sed -n 's/^oom //p' "$odp_group/memory.events")
	{
		odp_wait 60 oom_seen && sleep 1
		echo 64M >"$odp_group/memory.max"
	} &
	raise=$!
	fill || status=$?
	wait "$raise"
	if ! oom_seen; then
		echo "the memory was enough"
		return 2
	fi
	return "$status"
}

# The kernel shows who called when a cgroup is out of memory.
forget_log() {
	odp_log_mark="selftest ${0##*/} $$ $RANDOM"
	echo "$odp_log_mark" >/dev/kmsg
}

odp_init
odp_cgroup
rxe_use rust
for how in protect fork drop; do
	cases_run "$how" "$ODP_BIN/rxe_transient" storm "$how" "$MS"
done
cases_run late "$ODP_BIN/rxe_transient" late
odp_plan $(($(cases_count protect) + $(cases_count fork) + $(cases_count drop) +
	$(cases_count late) + 4))
for name in protect fork drop late; do
	cases_report "$name"
done
swap_on zram
odp_ok "a cgroup with half the memory, and swap" fill_with_swap
swap_off
odp_ok "the kernel log is clean, before memory runs out" odp_log_clean
odp_ok "a cgroup out of memory, until it is given more" fill_until_raised

rxe_use stock
odp_control "control, stock: a cgroup out of memory" fill_until_raised
forget_log

odp_finish
