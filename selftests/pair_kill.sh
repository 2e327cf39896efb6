#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The other machine, its link or its process goes amid RDMA: errors, nothing left, a new peer works.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"
# shellcheck source=lib/swap.sh
. "$ODP_HERE/lib/swap.sh"
# shellcheck source=lib/pair.sh
. "$ODP_HERE/lib/pair.sh"

# An ACK timeout of 0.5 s (1 s): the other side is lost four seconds after it has gone.
export ODP_ACK_TIMEOUT=$((ODP_SLOW > 1 ? 18 : 17))
HOST=/run/odp/host	# of qemu/run-pair: takes the other machine's power away
BOOT_WAIT=$((240 * ODP_SLOW))
survived=0

# start SECONDS [ODP_RETRIES]
start() {
	local -x ODP_RETRIES=${2:-6}

	pair_there ./pair_traffic listen "$1" >"$odp_tmp/there" 2>&1 &
	there=$!
	"$ODP_BIN/pair_traffic" "$ODP_PEER" "$1" >"$odp_tmp/here" 2>&1 &
	here=$!
}

both_run() {
	grep -q running "$odp_tmp/here" && grep -q running "$odp_tmp/there"
}

# Of this side alone: the other one may be no more.
ended() {
	local status=0

	wait "$here" || status=$?
	cat "$odp_tmp/here"
	pair_add "$odp_tmp/here"
	kill "$there" 2>/dev/null || true
	wait "$there" || true
	return "$status"
}

# What is there now must be what was there before.
baseline() {
	[[ $(pair_resources) == "$resources" ]]
}

baseline_there() {
	[[ $(pair_there pair_resources) == "$resources_there" ]]
}

at_baseline() {
	if odp_wait "$PAIR_WAIT" baseline && odp_wait "$PAIR_WAIT" baseline_there; then
		return 0
	fi
	echo "before: $resources; there: $resources_there"
	echo "now: $(pair_resources); there: $(pair_there pair_resources)"
	return 1
}

# A new connection, for some seconds: all must be right at both ends.
works() {
	local status=0 status_there=0

	start 2 7
	wait "$here" || status=$?
	wait "$there" || status_there=$?
	cat "$odp_tmp/here" "$odp_tmp/there"
	pair_add "$odp_tmp/here"
	((status == 0 && status_there == 0))
}

# lost COMMAND…: traffic runs, the command takes the other side away, and this one is
# to end by itself.
lost() {
	start 0
	odp_wait "$PAIR_WAIT" both_run || {
		cat "$odp_tmp/here" "$odp_tmp/there"
		kill -KILL "$here" || true
		return 1
	}
	sleep "0.$((RANDOM % 9))"
	"$@" && ended && odp_wait "$BOOT_WAIT" pair_reached && at_baseline && works || return
	survived=$((survived + 1))
}

kill_process_there() {
	pair_there pkill -KILL -x pair_traffic
}

# The other way round: there one has to survive.
lost_here() {
	start 0
	odp_wait "$PAIR_WAIT" both_run || return
	kill -KILL "$here"
	wait "$here" || true
	wait "$there" || {
		cat "$odp_tmp/there"
		return 1
	}
	cat "$odp_tmp/there"
	at_baseline && works || return
	survived=$((survived + 1))
}

link_down() {
	pair_there pair_link_down $((10 * (ODP_SLOW > 1 ? 2 : 1)))
}

# Dead, and booted anew.
power_cycle() {
	local other=1

	[[ $(hostname) != guest1 ]] || other=0
	echo "kill $other" >"$HOST"
	sleep 1
	echo "start $other" >"$HOST"
}

new_peer() {
	# What the new one has is what it found when it booted
	resources_there=$(pair_there pair_resources) &&
		pair_there pair_swap_on && pair_there rxe_use rust
}

power_lost() {
	start 0
	odp_wait "$PAIR_WAIT" both_run || return
	power_cycle
	ended || return
	odp_wait "$PAIR_WAIT" baseline && odp_wait "$BOOT_WAIT" pair_reached &&
		new_peer && works || return
	survived=$((survived + 1))
}

# short_cut SECONDS COMMAND…: the command, on the other side, cuts the network amid that.
short_cut() {
	local status=0 status_there=0

	start "$1" 7
	odp_wait "$PAIR_WAIT" both_run || return
	pair_there "${@:2}" || status=$?
	wait "$here" || status=$?
	wait "$there" || status_there=$?
	cat "$odp_tmp/here" "$odp_tmp/there"
	pair_add "$odp_tmp/here"
	pair_there pair_was_cut && ((status == 0 && status_there == 0))
}

# It is not to be taken for one that did no harm.
no_cut() {
	pair_there rm -f "$PAIR_CUT" && ! short_cut 2 true
}

module_goes() {
	rxe_remove && [[ ! -e /sys/module/rdma_rxe ]] && rxe_use rust && works
}

process_lost() {
	lost kill_process_there
}

link_lost() {
	lost link_down
}

pair_init
odp_plan 7
count=$(odp_rounds 1 20)
pair_both rxe_use rust
resources=$(pair_resources)
resources_there=$(pair_there pair_resources)

odp_ok "the other side's process is killed" odp_repeat "$count" process_lost
odp_ok "the process here is killed, the other side survives" odp_repeat "$count" lost_here
odp_ok "the network is cut for a moment: nothing is lost" \
	short_cut 6 pair_cut 1
odp_ok "control: that it was not cut is seen" no_cut
odp_ok "the other side's link goes down and up" odp_repeat "$count" link_lost
if [[ -e $HOST ]]; then
	odp_ok "the other machine's power is lost, and it boots anew" odp_repeat "$count" power_lost
else
	odp_skip "the other machine's power is lost" "only qemu/run-pair can take it away"
fi
odp_ok "the module can be removed, and works again" module_goes
pair_figures
odp_figure "peers lost and survived" "$survived"

odp_finish
