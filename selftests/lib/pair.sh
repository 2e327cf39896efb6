# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Tests between two machines that each have an RDMA device; after odp.sh, rxe.sh and
# swap.sh.
#
#   pair_init                     instead of odp_init
#   pair_there COMMAND…           on the other machine: a program beside the tests, or a
#                                 function of rxe.sh or pair_machine.sh
#   pair_both FUNCTION…           here and there
#   pair_run CLIENT…              a client here, with pair_owner there
#   pair_control DESCRIPTION COMMAND…
#                                 as odp_control, for stock C
#
# What the clients say is added up: pair_figures reports it.
#
# Environment: ODP_PEER, the address of the other machine. `lib/pair_agent serve` runs
# there, in a copy of this folder, as root. qemu/run-pair makes two such machines.

# shellcheck source=pair_machine.sh
. "$ODP_HERE/lib/pair_machine.sh"

PAIR_WAIT=$((30 * ODP_SLOW))
declare -A pair_total=()

pair_init() {
	odp_init
	[[ -n ${ODP_PEER:-} ]] || odp_skip_all "ODP_PEER is not set: there is no other machine"
	odp_wait "$PAIR_WAIT" pair_reached || odp_skip_all "no lib/pair_agent at $ODP_PEER"
	pair_found=$(pair_there rxe_loaded)
	odp_at_exit pair_restore
	pair_swap_on
	pair_there pair_swap_on
}

pair_reached() {
	pair_there true >/dev/null 2>&1
}

pair_restore() {
	pair_netem
	pair_there pair_netem
	pair_there rxe_use "$pair_found"
	pair_there pair_swap_off
}

pair_there() {
	local -a shell=(bash -c '. lib/pair_machine.sh' ./pair_agent)

	"$ODP_HERE/lib/pair_agent" run "$ODP_PEER" "${shell[@]}" "$@"
}

pair_both() {
	"$@" && pair_there "$@"
}

# pair_add FILE: all of "NUMBER WORD" in it, for the words that figures have.
pair_add() {
	local number word

	while read -r number word; do
		pair_total[$word]=$((${pair_total[$word]:-0} + number))
	done < <(grep -oE '[0-9]+ (batches|KiB|FETCH_AND_ADDs|CMP_SWPs|messages|transfers|wrong)' "$1")
}

pair_run() {
	local status=0 owner_status=0 owner client=$1

	shift
	pair_there ./pair_owner >"$odp_tmp/owner" 2>&1 &
	owner=$!
	"$ODP_BIN/$client" "$ODP_PEER" "$@" >"$odp_tmp/client" 2>&1 || status=$?
	[[ $status == 0 ]] || pair_there pkill -KILL -x pair_owner || true
	wait "$owner" || owner_status=$?
	cat "$odp_tmp/client" "$odp_tmp/owner"
	pair_add "$odp_tmp/client"
	((status)) || status=$owner_status
	return "$status"
}

# It ends with the first that fails. C then frees packets of that queue pair with interrupts
# off, of which lockdep warns.
pair_control() {
	local what="control, $1"

	if [[ -e /proc/lockdep ]]; then
		odp_skip "$what" "lockdep warns of what C does with a failed queue pair"
	else
		odp_control "$what" "${@:2}"
	fi
}

pair_figures() {
	local word

	for word in batches transfers KiB FETCH_AND_ADDs CMP_SWPs messages wrong; do
		[[ -z ${pair_total[$word]:-} ]] || odp_figure "$word" "${pair_total[$word]}"
	done
}
