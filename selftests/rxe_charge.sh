#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What a process has soft-RoCE keep is charged to its memory cgroup, whose limit holds.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"

LIMIT=64	# MiB
kinds=(
	"completion queues"
	"shared receive queues"
	"queue pairs"
	"memory regions"
	"windows of a region"
	"packets to queue pairs that wait"
	"packets that answer queue pairs that wait"
)
# Objects whose memory is allocated by ib_core, without a charge
others=("a protection domain" "a memory window")

# Of who was killed before.
group_is_empty() {
	(($(<"$odp_group/memory.current") < 4 << 20))
}

keeps() {
	odp_wait 60 group_is_empty || {
		echo "still charged: $(<"$odp_group/memory.current")"
		return 2
	}
	"$ODP_BIN/rxe_charge" "$odp_group" "$LIMIT" "$1"
}

# C's queue pairs wait by the thousand, each in a thread: on a slow kernel for too long.
control() {
	if ((ODP_SLOW > 1)); then
		ktap_test_skip "control, stock: $1: this kernel is slow"
	else
		odp_control "control, stock: $1" keeps "$1"
	fi
}

# Of those who are killed for want of memory, the kernel tells.
odp_log_without_expected() {
	sed '/invoked oom-killer/,/Memory cgroup out of memory/d'
}

figures() {
	local other what number

	echo max >"$odp_group/memory.max"
	for other in "${others[@]}"; do
		"$ODP_BIN/rxe_charge" "$odp_group" 0 "$other" >"$odp_tmp/other"
		IFS=: read -r what number < <(sed -n 's/^figure //p' "$odp_tmp/other")
		odp_figure "$what" "${number% bytes}" bytes
	done
}

odp_init
odp_plan $((2 * ${#kinds[@]}))
odp_cgroup
echo $((LIMIT << 20)) >"$odp_group/memory.max"
[[ ! -e $odp_group/memory.swap.max ]] || echo 0 >"$odp_group/memory.swap.max"
rxe_use rust
for kind in "${kinds[@]}"; do
	odp_ok "$kind" keeps "$kind"
done
rxe_use stock
for kind in "${kinds[@]}"; do
	control "$kind"
done
rxe_use rust
figures
odp_finish
