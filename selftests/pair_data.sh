#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# ODP memory is used from another machine: data, atomics and messages are right at both ends.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"
# shellcheck source=lib/swap.sh
. "$ODP_HERE/lib/swap.sh"
# shellcheck source=lib/pair.sh
. "$ODP_HERE/lib/pair.sh"

LENGTH=65536

# C takes an answer for another when something was sent twice: in 4 s, nothing is.
stock_here() {
	local -x ODP_ACK_TIMEOUT=20

	pair_run pair_data odp $((count / 2)) "$LENGTH" pinned
}

# An answer takes 10 ms, and the timeout is 2 ms, on a slow kernel 134 ms: most of it is sent
# again. C loses its place there; of READs that this makes wrong the kernel warns, and not
# of WRITEs.
sent_again() {
	local -x ODP_ACK_TIMEOUT=$((ODP_SLOW > 1 ? 15 : 9))
	local before

	before=$(pair_counted completer_retry_err)
	pair_run pair_data "$@" || return
	echo "sent again $(($(pair_counted completer_retry_err) - before)) times"
}

# Each READ that is sent again is answered as a whole. Were that to take longer than the
# timeout, more would be asked for than answered, and it would never end: they are short.
reads_sent_again() {
	sent_again pinned "$1" 8192 odp
}

writes_sent_again() {
	sent_again odp "$1" "$LENGTH" pinned writes
}

pair_init
odp_plan 8
count=$(odp_rounds 400 8000)

pair_both rxe_use rust
odp_ok "WRITEs and READs, pages being taken away" \
	pair_run pair_data odp "$count" "$LENGTH"
odp_ok "atomics, each once" pair_run pair_atomics odp $((count * 10))
odp_ok "SENDs, and WRITEs with immediate data" \
	pair_run pair_messages odp $((count * 3)) 8192
pair_there pair_netem delay 10ms
odp_ok "requests that are sent again before they are answered" \
	reads_sent_again $((count / 2))
odp_ok "the same, WRITEs from pinned memory" writes_sent_again $((count / 2))
pair_figures
rxe_use stock
# After some two hundred.
pair_control "C here: WRITEs that are sent again fail" writes_sent_again $((count * 4))
pair_there pair_netem
odp_ok "stock C here, with pinned memory, and ODP memory there" stock_here
rxe_use rust
pair_there rxe_use stock
pair_control "C there: data is in the wrong place" \
	pair_run pair_data explicit "$count" "$LENGTH"

odp_finish
