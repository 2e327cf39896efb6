#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A page fault that nobody serves holds up its own queue pair, and nobody who ends it.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"
# shellcheck source=lib/cases.sh
. "$ODP_HERE/lib/cases.sh"
# shellcheck source=lib/held.sh
. "$ODP_HERE/lib/held.sh"
# shellcheck source=lib/swap.sh
. "$ODP_HERE/lib/swap.sh"

unserved() {
	"$ODP_BIN/rxe_unserved" "$@"
}

owner() {
	"$ODP_BIN/rxe_unserved_owner" "$@"
}

# shellcheck disable=SC2154 # odp_group is set by odp_cgroup
reap() {
	echo 64M >"$odp_group/memory.max"
	owner reap "$odp_group"
	echo max >"$odp_group/memory.max"
}

# --- rdma_rxe.ko ------------------------------------------------------------------------------

hold() {
	held_start "$ODP_BIN/rxe_unserved_owner" hold "$1"
}

# The process that has the fault is dead, and another one has its userfaultfd.
module_goes() {
	hold killed || return
	rxe_now=none
	odp_within $((2 * ODP_SLOW)) rmmod rdma_rxe || {
		held_serve
		return 1
	}
	held_serve && [[ ! -e /sys/module/rdma_rxe ]]
}

# --- rust_umem_odp.ko ---------------------------------------------------------------------------

in_transition() {
	[[ $(<"$ODP_PATCH/transition") == 1 ]]
}

# It is told to go, and cannot.
cannot_go() {
	hold "$1" || return
	echo 0 >"$ODP_PATCH/enabled"
	sleep 5
	in_transition || {
		echo "the livepatch has gone while a fault is in its code"
		return 1
	}
	! rmmod "$ODP_NAME" 2>/dev/null
}

goes() {
	odp_wait "$ODP_WAIT" odp_patch_gone && rmmod "$ODP_NAME"
}

goes_when_served() {
	held_serve && goes
}

goes_when_killed() {
	held_kill
	goes
}

# The kernel shows who called when a cgroup is out of memory.
forget_log() {
	odp_log_mark="selftest ${0##*/} $$ $RANDOM"
	echo "$odp_log_mark" >/dev/kmsg
}

odp_needs+=("$ODP_MODULE")
odp_init
odp_cgroup
swap_off_others
rxe_use rust
for name in others fair destroy; do
	cases_run "$name" unserved "$name"
done
cases_run kill owner kill
rxe_use stock
odp_load
cases_run umem unserved others starts
rxe_use rust
log_was_clean=no
! odp_run odp_log_clean || log_was_clean=yes
cases_run reap reap
forget_log
odp_plan $(($(cases_count others) + $(cases_count fair) + $(cases_count destroy) +
	$(cases_count kill) + $(cases_count umem) + $(cases_count reap) + 8))
for name in others fair destroy kill umem reap; do
	cases_report "$name"
done
odp_ok "the kernel log was clean before memory ran out" test "$log_was_clean" = yes

rxe_ok_in_use "the module goes, and does not wait" module_goes
rxe_use stock
for how in write prefetch; do
	odp_load
	odp_ok "$ODP_NAME.ko cannot go amid a $how that waits" cannot_go "$how"
	odp_ok "it goes when that is served" goes_when_served
done
odp_load
odp_ok "$ODP_NAME.ko cannot go amid a prefetch of a process" cannot_go prefetch
odp_ok "it goes when that is killed" goes_when_killed
odp_finish
