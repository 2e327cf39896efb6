#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What is not under way holds up nobody: destroy, deregister, reset and exit end in two seconds.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"
# shellcheck source=lib/cases.sh
. "$ODP_HERE/lib/cases.sh"

# The cases of that name.
ends() {
	case $1 in
	prefetches | reset)
		"$ODP_BIN/rxe_ends_faults" "$1" ;;
	*)
		"$ODP_BIN/rxe_ends" "$1" ;;
	esac
}

# --- stock C, which frees in the end what has references ------------------------------------

# What it says then goes to nobody: not to the console, nor to the check of the log.
exits_on_stock() {
	dmesg --console-level emerg
	cases_run stock-exit ends exit
	dmesg --console-level debug
	odp_log_mark="selftest ${0##*/} $$ $RANDOM"
	echo "$odp_log_mark" >/dev/kmsg
}

control() {
	odp_control "control, stock: $2" cases_defect "stock-$1" "$2"
}

controls() {
	control windows "ibv_destroy_qp before the window that is bound to it"
	control overflow "ibv_dereg_mr of what a full completion queue kept from being told"
	control prefetches "another process, amid 2,200 prefetches"
	control reset "ibv_modify_qp to RESET"
	control reset "who is in it is killed"
	[[ ${ODP_SOAK:-0} == 1 ]] || return 0
	control exit "exit, a bound window is older than its queue pair"
	control exit "exit, a completion queue is full"
}

odp_init
# First, as it needs what it held up to end
rxe_use stock
if ((ODP_SLOW == 1)); then
	for name in windows overflow prefetches reset; do
		cases_run "stock-$name" ends "$name"
	done
	odp_run odp_log_clean
	[[ ${ODP_SOAK:-0} != 1 ]] || exits_on_stock
fi
rxe_use rust
names=(windows overflow exit prefetches reset responses invalidate)
count=0
for name in "${names[@]}"; do
	cases_run "$name" ends "$name"
	count=$((count + $(cases_count "$name")))
done
if ((ODP_SLOW == 1)); then
	count=$((count + 5 + (${ODP_SOAK:-0} == 1 ? 2 : 0)))
fi
odp_plan "$count"
for name in "${names[@]}"; do
	cases_report "$name"
done
((ODP_SLOW > 1)) || controls
odp_finish
