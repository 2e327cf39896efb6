#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# guest.sh ROUNDS CLIENT…: in the guest, what `make bench` measures. Each round
# runs the clients on Rust, stock, stock, Rust. The first one then has the control,
# stock four times, where the two in the middle are the other side. For each result
# of a client there is a line
#   sample COMPARISON ROUND SIDE MEASURE VALUE
# with the comparison rust (sides: rust, stock) or control (stock-again, stock). A
# baseline.ko, if there is one, takes the place of the stock module: side baseline.
# shellcheck source=selftests/lib/odp.sh
. "$(dirname "$0")/../lib/odp.sh"
# shellcheck source=selftests/lib/rxe.sh
. "$(dirname "$0")/../lib/rxe.sh"

# run COMPARISON ROUND SIDE: all clients, on a module that is loaded afresh.
run() {
	local client

	odp_log "round $2 of $rounds: $3"
	rxe_remove
	case $3 in
	rust) rxe_use rust ;;
	stock*) rxe_use stock ;;
	baseline*) RXE_MODULE=$ODP_HERE/baseline.ko rxe_use rust ;;
	esac
	rxe_mtu 4096
	for client in "${names[@]}"; do
		"$ODP_HERE/$client" >"$odp_tmp/results"
		sed "s/^/sample $1 $2 $3 /" "$odp_tmp/results"
	done
}

rounds=$1
shift
names=("$@")
other=stock
[[ ! -e $ODP_HERE/baseline.ko ]] || other=baseline
odp_init
rxe_start
for ((round = 1; round <= rounds; round++)); do
	for side in rust "$other" "$other" rust; do
		run rust "$round" "$side"
	done
	((round == 1)) || continue
	for side in "$other-again" "$other" "$other" "$other-again"; do
		run control "$round" "$side"
	done
done
odp_log_clean
