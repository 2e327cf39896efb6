#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# rdma-core's own ODP tests give the same results with Rust as on stock rxe.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rdma_core.sh
. "$(dirname "$0")/lib/rdma_core.sh"

PASSES=15	# of rdma-core 65 on stock rxe, the rest needs what rxe lacks

enough() {
	local passes

	passes=$(rdma_core_passed "$results" | wc -l)
	echo "$passes passed, $PASSES are expected"
	((passes >= PASSES))
}

rust_served() {
	local name status=0

	odp_deltas
	for name in umem_get umem_release faults page_faults invalidations \
		page_invalidations dirtied_pages; do
		(($(odp_delta "$name") > 0)) || {
			echo "$name did not grow"
			status=1
		}
	done
	return "$status"
}

odp_init
rdma_core_init

odp_load
odp_counters_save
results=$odp_tmp/results
status=0
rdma_core_run "$results" -k odp || status=$?
odp_plan $(($(wc -l <"$results") + 3))
rdma_core_report "$results" .
odp_ok "run_tests.py succeeded" test "$status" = 0
odp_ok "at least $PASSES tests pass" enough
odp_ok "the module's counters show that Rust served them" rust_served
((status == 0)) || sed 's/^/# /' "$results.log"

odp_finish
