#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Transitions of the livepatch are reversed half-way, held by a page fault nobody serves.
#
# Held in C while the module comes, in Rust while it goes; by a task, and by a worker.
# Verified traffic goes on meanwhile.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/traffic.sh
. "$ODP_HERE/lib/traffic.sh"

rounds=$(odp_rounds 5 100)	# of each of four kinds
FLIPS=5	# of one transition, to and fro
SETTLE=3	# seconds in which a transition that nobody holds is complete
reversed=0

holder_start() {
	coproc holder { exec "$ODP_BIN/transition_reversed" 2>&1; }
	holder_in=${holder[1]}
	holder_out=${holder[0]}
}

# hold STEP: task, worker or serve.
hold() {
	local answer

	echo "$1" >&"$holder_in"
	read -r -t $((60 * ODP_SLOW)) -u "$holder_out" answer || answer="no answer"
	[[ $answer == ok ]] || {
		echo "$1: $answer"
		return 1
	}
}

# is_held ENABLED: the transition to that is under way, and the module stays.
is_held() {
	[[ $(<"$ODP_PATCH/transition") == 1 && $(<"$ODP_PATCH/enabled") == "$1" ]] || {
		echo "transition $(<"$ODP_PATCH/transition"), enabled $(<"$ODP_PATCH/enabled")"
		return 1
	}
	! rmmod "$ODP_NAME" 2>/dev/null || {
		echo "the module was removed amid a transition"
		return 1
	}
}

reverse() {
	echo "$1" >"$ODP_PATCH/enabled" && reversed=$((reversed + 1))
}

is_gone() {
	odp_wait "$ODP_WAIT" odp_patch_gone && odp_rmmod "$ODP_NAME"
}

# Coming, given up, gone.
coming_round() {
	insmod "$ODP_MODULE" && is_held 1 && reverse 0 && is_gone && traffic_lives
}

# Going, given up, there.
going_round() {
	echo 0 >"$ODP_PATCH/enabled" && is_held 0 && reverse 1 &&
		odp_wait "$ODP_WAIT" odp_patched && traffic_lives
}

# repeat ROUND: as often as is wanted.
repeat() {
	local start=$EPOCHREALTIME

	odp_repeat "$rounds" "$1" || return
	echo "$rounds rounds in $(((${EPOCHREALTIME/./} - ${start/./}) / 1000)) ms"
}

# coming WHO: all of that, and then the module comes when the fault ends.
coming() {
	hold "$1" && repeat coming_round && insmod "$ODP_MODULE" && sleep "$SETTLE" &&
		is_held 1 && hold serve && odp_wait "$ODP_WAIT" odp_patched
}

# going WHO: the same; the module goes.
going() {
	hold "$1" && repeat going_round && echo 0 >"$ODP_PATCH/enabled" &&
		sleep "$SETTLE" && is_held 0 && hold serve && is_gone
}

# To and fro without waiting for anything. Nobody holds the way back to C: where that was
# complete before it was reversed, the module comes once more.
flips() {
	local i flipped=0

	insmod "$ODP_MODULE" || return
	for ((i = 0; i < FLIPS; i++)); do
		reverse 0 || return
		if reverse 1 2>/dev/null; then
			flipped=$((flipped + 1))
		else
			is_gone && insmod "$ODP_MODULE" || return
		fi
		is_held 1 || return
	done
	echo "to and fro $flipped times"
	((flipped > 0))
}

# The task that is still in C's code does no harm there: it leaves it when it can.
forced() {
	hold task && flips && echo 1 >"$ODP_PATCH/force" &&
		odp_wait "$ODP_WAIT" odp_patched || return
	odp_counters_save
	odp_wait $((30 * ODP_SLOW)) rust_serves && hold serve
}

rust_serves() {
	(($(odp_delta faults) > 0 && $(odp_delta invalidations) > 0))
}

odp_init
odp_plan 8
odp_unload
odp_ok "verified traffic starts" traffic_start
holder_start

odp_ok "coming, held by a task: reversed $rounds times" coming task
odp_ok "going, held by a task: reversed $rounds times" going task
odp_ok "coming, held by a worker: reversed $rounds times" coming worker
odp_ok "going, held by a worker: reversed $rounds times" going worker
odp_ok "to and fro $FLIPS times, then forced: Rust serves" forced
odp_ok "what was forced can be removed" odp_unload
exec {holder_in}>&-
odp_ok "the traffic saw no wrong byte" traffic_right
odp_figure "transitions reversed" "$reversed"
traffic_figures
odp_finish
