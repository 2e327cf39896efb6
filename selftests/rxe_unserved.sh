#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A page fault that nobody serves holds up its own queue pair only, and the log says who waits.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"
# shellcheck source=lib/cases.sh
. "$ODP_HERE/lib/cases.sh"
# shellcheck source=lib/swap.sh
. "$ODP_HERE/lib/swap.sh"

unserved() {
	"$ODP_BIN/rxe_unserved" "$@"
}

# shellcheck disable=SC2154 # odp_group is set by odp_cgroup
reap() {
	echo 64M >"$odp_group/memory.max"
	unserved reap "$odp_group"
	echo max >"$odp_group/memory.max"
}

# --- a fault that is held until we say so -----------------------------------------------

hold() {
	local answer

	coproc unserved_held { exec "$ODP_BIN/rxe_unserved" hold "$1" 2>&1; }
	held_pid=$!
	held_in=${unserved_held[1]}
	held_out=${unserved_held[0]}
	read -r -t 60 -u "$held_out" answer || answer="no answer"
	[[ $answer == held ]] || {
		echo "$answer"
		return 1
	}
}

serve() {
	local answer

	echo >&"$held_in"
	read -r -t 60 -u "$held_out" answer || answer="no answer"
	exec {held_in}>&-
	wait "$held_pid"
	echo "$answer"
	[[ $answer == served ]]
}

# --- rdma_rxe.ko ------------------------------------------------------------------------------

# The process that has the fault is dead; the module waits for what is left of it, and
# the log says so, once a minute.
module_waits() {
	hold killed || return
	rmmod rdma_rxe &
	removal=$!
	sleep 3
	kill -0 "$removal" 2>/dev/null || {
		echo "the module has gone while a fault is in its code"
		return 1
	}
	[[ ${ODP_SOAK:-0} != 1 ]] || odp_wait 75 said_so
}

said_so() {
	dmesg | sed "1,/$odp_log_mark/d" | grep "is still in use: a page fault is not served"
}

module_goes() {
	serve && wait "$removal" && [[ ! -e /sys/module/rdma_rxe ]] && rxe_remove
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
	serve && goes
}

goes_when_killed() {
	kill -KILL "$held_pid"
	wait "$held_pid" 2>/dev/null || true
	exec {held_in}>&-
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
for name in others destroy kill; do
	cases_run "$name" unserved "$name"
done
rxe_use stock
odp_load
cases_run umem unserved others starts
rxe_use rust
log_was_clean=no
! odp_run odp_log_clean || log_was_clean=yes
cases_run reap reap
forget_log
odp_plan $(($(cases_count others) + $(cases_count destroy) + $(cases_count kill) +
	$(cases_count umem) + $(cases_count reap) + 9))
for name in others destroy kill umem reap; do
	cases_report "$name"
done
odp_ok "the kernel log was clean before memory ran out" test "$log_was_clean" = yes

rxe_ok_in_use "who removes the module waits" module_waits
rxe_ok_in_use "it goes when the fault is served" module_goes
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
