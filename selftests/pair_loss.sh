#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A network loses and reorders packets: data stays right, and atomics are done once.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"
# shellcheck source=lib/swap.sh
. "$ODP_HERE/lib/swap.sh"
# shellcheck source=lib/pair.sh
. "$ODP_HERE/lib/pair.sh"

# Of packets that are lost on their way there is no control: stock C, with pinned memory too,
# completes READs as successful with wrong bytes, and the kernel's warning of it is one for
# those who run the tests.
LENGTH=8192
# 34 ms: where packets overtake each other, rxe waits for it more often than not.
export ODP_ACK_TIMEOUT=13
NETEM=(loss 1% delay 2ms 1ms reorder 25%)
COUNTERS=(completer_retry_err duplicate_request out_of_seq_request)
declare -A before=()

# both NAME: a counter of here and there.
both() {
	echo $(($(pair_counted "$1") + $(pair_counted_there "$1")))
}

pair_counted_there() {
	pair_there pair_counted "$1"
}

# Or the network was not a bad one.
packets_were_lost() {
	local name

	dropped=$(($(pair_dropped) + $(pair_there pair_dropped)))
	echo "$dropped packets dropped"
	for name in "${COUNTERS[@]}"; do
		counted[$name]=$(($(both "$name") - before[$name]))
		echo "$name: ${counted[$name]}"
	done
	((dropped > 0 && counted[duplicate_request] > 0 && counted[out_of_seq_request] > 0))
}

# A queue of this machine, too short for what is sent at once: who sends is told.
full_queue() {
	pair_run pair_data odp "$1" "$LENGTH" pinned
}

queue_was_full() {
	refused=$(($(pair_counted send_err) - before[send_err]))
	echo "$refused packets refused"
	((refused > 0))
}

pair_init
odp_plan 8
count=$(odp_rounds 60 2000)
declare -A counted=()

pair_both rxe_use rust
for name in "${COUNTERS[@]}"; do
	before[$name]=$(both "$name")
done
pair_both pair_netem "${NETEM[@]}"
odp_ok "WRITEs and READs, pages being taken away" \
	pair_run pair_data odp "$count" "$LENGTH"
odp_ok "atomics, each once" pair_run pair_atomics odp $((count * 8))
odp_ok "SENDs, and WRITEs with immediate data" \
	pair_run pair_messages odp $((count * 2)) "$LENGTH"
odp_ok "pinned, as the reference: atomics" pair_run pair_atomics pinned $((count * 4))
odp_ok "packets were lost and came out of order" packets_were_lost
pair_there pair_netem
pair_netem limit 4 delay 2ms
before[send_err]=$(pair_counted send_err)
odp_ok "a full queue here drops packets" full_queue "$count"
odp_ok "it was full" queue_was_full
pair_figures
odp_figure "packets dropped" "$dropped"
odp_figure "retransmissions" "${counted[completer_retry_err]}"
odp_figure "duplicates received" "${counted[duplicate_request]}"
odp_figure "packets out of order" "${counted[out_of_seq_request]}"
odp_figure "packets that a full queue refused" "$refused"
rxe_use stock
pair_control "C here: a full queue is an error of the queue pair's" full_queue "$count"

odp_finish
