#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# RDMA while page faults in rxe's workers run out of memory: tried again, no wrong byte.
#
# Workers are nobody's task: faults are injected by the code that is among the callers,
# every k-th of the allocations made there.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"
# shellcheck source=lib/slab.sh
. "$ODP_HERE/lib/slab.sh"
# shellcheck source=lib/fault.sh
. "$ODP_HERE/lib/fault.sh"

odp_needs+=("$ODP_MODULE")
# A fault that makes a window asks for three objects in a row: it needs as many that come,
# or it is tried again until there is memory.
declare -A intervals=([failslab]="5 7 11 13 17" [fail_page_alloc]="2 3 5 7 11 13")
rounds=$(odp_rounds 4 200)
BURST=20	# allocations that fail one after the other
MANY=1000000000
STALL_FAULTS=100	# of a stall: more than operations that come to their end meet
STALL_WAIT=$((20 * ODP_SLOW))	# seconds
SLACK=100	# objects; a leak is one for each of some hundred faults
operations=0 verified=0

# inject KIND INTERVAL TIMES: every INTERVAL-th allocation of that kind fails from now on,
# TIMES of them at most.
inject() {
	local directory=/sys/kernel/debug/$1

	times=$3
	(($(<"$directory/require-start") != 0)) || {
		echo "faults would hit everybody"
		return 1
	}
	echo "$2" >"$directory/interval"
	echo "$times" >"$directory/times"
	echo 100 >"$directory/probability"
}

injected() {
	echo $((times - $(<"/sys/kernel/debug/$1/times")))
}

# inject_end KIND: succeeds if there was a fault.
inject_end() {
	local directory=/sys/kernel/debug/$1 faults

	echo 0 >"$directory/probability"
	faults=$(injected "$1")
	echo -1 >"$directory/times"
	echo "$faults faults"
	fault_injected=$((fault_injected + faults))
	((faults > 0)) || {
		echo "no fault was injected: this proves nothing"
		return 1
	}
}

# under KIND INTERVAL TIMES COMMAND…: the command amid such faults.
under() {
	local status=0

	inject "${@:1:3}" || return 2
	work "${@:4}" || status=$?
	inject_end "$1" || return 2
	return "$status"
}

# stall KIND INTERVAL: faults that let nothing come to its end. The operations wait, and
# go on when the faults end.
stall() {
	local pid status=0 end

	inject "$1" "$2" "$MANY" || return
	client 1 &
	pid=$!
	odp_wait "$STALL_WAIT" has_injected "$1" "$pid" || status=1
	! has_ended "$pid" || {
		echo "the operations did not wait for memory"
		status=1
	}
	inject_end "$1" || status=1
	end=$(now_ms)
	odp_wait "$STALL_WAIT" has_ended "$pid" || {
		echo "still stalled $STALL_WAIT s after the last fault"
		status=1
	}
	echo "over after $(($(now_ms) - end)) ms"
	wait "$pid" || status=$?
	tally
	return "$status"
}

# Not waited for in vain, if the operations have ended.
has_injected() {
	(($(injected "$1") >= STALL_FAULTS)) || has_ended "$2"
}

has_ended() {
	! kill -0 "$1" 2>/dev/null
}

now_ms() {
	date +%s%3N
}

# client ARGUMENT…: fault_work in the cgroup, which the file for its words is not in, kept
# for `tally`.
client() {
	(
		echo "$BASHPID" >"$odp_group/cgroup.procs"
		exec "$ODP_BIN/fault_work" "$@"
	) >"$odp_tmp/work" 2>&1
}

tally() {
	local what number

	while read -r _ what number; do
		case $what in
		operations) operations=$((operations + number)) ;;
		verified) verified=$((verified + number)) ;;
		wrong) fault_wrong=$((fault_wrong + number)) ;;
		esac
	done < <(grep '^figure ' "$odp_tmp/work")
	grep -v '^figure ' "$odp_tmp/work"
}

work() {
	local status=0

	client "$@" || status=$?
	tally
	return "$status"
}

all_intervals() {
	local kind=$1 interval

	shift
	for interval in ${intervals[$kind]}; do
		echo "every ${interval}th"
		under "$kind" "$interval" "$MANY" "$rounds" "$@" || return
	done
}

burst() {
	local i

	for ((i = 0; i < 5; i++)); do
		under "$1" 1 "$BURST" "${@:2}" || return
	done
}

# only_workers_of MODULE [rust]: calls of verbs come by ib_uverbs.
only_workers_of() {
	fault_everywhere
	fault_only_within "[$1]" "${@:2}" && fault_not_within "[ib_uverbs]"
}

odp_init
fault_begin
fault_need_filter
odp_plan 12

rxe_use rust
odp_run work 4
odp_ok "faults hit page faults of rdma_rxe.ko" only_workers_of rdma_rxe rust
slab_save
odp_ok "rdma_rxe.ko: slab runs out, every k-th time" all_intervals failslab
odp_ok "rdma_rxe.ko: pages run out, every k-th time" all_intervals fail_page_alloc
odp_ok "rdma_rxe.ko: slab runs out, $BURST times in a row" burst failslab "$rounds"
odp_ok "rdma_rxe.ko: pages run out, $BURST times in a row" burst fail_page_alloc "$rounds"
odp_ok "rdma_rxe.ko: no slab at all: operations wait, and go on" \
	odp_repeat "$rounds" stall failslab 1
odp_ok "rdma_rxe.ko: no page at all: operations wait, and go on" \
	odp_repeat "$rounds" stall fail_page_alloc 1
odp_ok "nothing is charged any more" fault_nothing_left
odp_ok "slab objects are back" slab_is_back "$SLACK"
rxe_use stock
only_workers_of ib_core
odp_control "control, stock C: RDMA fails for want of a page" \
	under fail_page_alloc 7 "$MANY" 20
odp_load
only_workers_of "$ODP_NAME" rust
odp_ok "rust_umem_odp.ko: pages run out, operations are tried again" \
	all_intervals fail_page_alloc errors
fault_everywhere
odp_ok "all works when there is memory" work "$rounds"
odp_figure "operations" "$operations"
odp_figure "pages verified" "$verified"
odp_figure "faults injected" "$fault_injected"
odp_figure "wrong" "$fault_wrong"
odp_finish
