#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# rdma-core's whole test suite: what passes on stock rxe passes with Rust, and more.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$(dirname "$0")/lib/rxe.sh"
# shellcheck source=lib/rdma_core.sh
. "$(dirname "$0")/lib/rdma_core.sh"

ODP_TESTS=OdpTestCase
ODP_PASSES=22	# of 23 in rdma-core 65: the other one is about XRC, which rxe has not
SUITE_PASSES=100	# on stock at least, or the suite did not run
RERUNS=5	# on stock, of a test that fails with Rust alone: is it flaky?
FLAKY_TESTS=3	# at most, more are not put down to chance

suite() {
	rxe_use "$1"
	rdma_core_run "$odp_tmp/$1" || odp_log "$1: not all tests succeeded"
	rdma_core_passed "$odp_tmp/$1" >"$odp_tmp/$1.passed"
	odp_log "$1: $(wc -l <"$odp_tmp/$1") results," \
		"$(wc -l <"$odp_tmp/$1.passed") passed"
}

# A control's status: 1 if fewer ODP tests pass than Rust's bar.
enough_odp() {
	local passes

	passes=$(grep -c "\.$ODP_TESTS\." "$odp_tmp/$1.passed") || true
	echo "$passes of $ODP_TESTS passed on $1, $ODP_PASSES are wanted"
	((passes >= ODP_PASSES))
}

suite_ran() {
	(($(wc -l <"$odp_tmp/stock.passed") >= SUITE_PASSES))
}

# Whether a test fails on stock, too, when it is run again and again.
flaky() {
	local i

	for ((i = 0; i < RERUNS; i++)); do
		rdma_core_run "$odp_tmp/rerun" "tests.$1" || return 0
	done
	return 1
}

# What passes on stock and not with Rust, and is not flaky on stock. (On stock now.)
none_lost() {
	local id lost=0
	local -a missing

	mapfile -t missing < <(LC_ALL=C comm -13 "$odp_tmp/rust.passed" "$odp_tmp/stock.passed")
	for id in "${missing[@]}"; do
		if ((${#missing[@]} <= FLAKY_TESTS)) && flaky "$id"; then
			echo "$id: fails on stock, too, now and then"
			continue
		fi
		echo "$id: passes on stock, with Rust: $(
			awk -F'\t' -v id="$id" '$1 == id { print $2, $3 }' "$odp_tmp/rust")"
		lost=$((lost + 1))
	done
	((lost == 0)) && return 0
	cat "$odp_tmp/rust.log"
	return 1
}

odp_init
rdma_core_init

suite rust
odp_plan $(($(grep -c "\.$ODP_TESTS\." "$odp_tmp/rust") + 4))
rdma_core_report "$odp_tmp/rust" "\.$ODP_TESTS\."
odp_ok "Rust: $ODP_PASSES tests of $ODP_TESTS pass" enough_odp rust

suite stock
odp_ok "the suite ran on stock" suite_ran
odp_ok "what passes on stock passes with Rust" none_lost
odp_control "control, stock: fewer of $ODP_TESTS pass" enough_odp stock

odp_finish
