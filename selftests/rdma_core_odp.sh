#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# rdma-core's own ODP tests give the same results with Rust as on stock rxe.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"

RUNNER=${RUNNER:-$(find /usr/share/rdma-core* -name run_tests.py 2>/dev/null | head -n 1)}
PASSES=15	# of rdma-core 65 on stock rxe, the rest needs what rxe lacks
HUGE_PAGES=64

# Lines "name ... ok" and "name ... skipped 'reason'" of unittest, of which name
# and result may be torn apart by what the test logs, as KTAP lines.
report() {
	local line name=

	while IFS= read -r line; do
		[[ $line =~ ^(test_[a-z0-9_]+)\ \( ]] && name=${BASH_REMATCH[1]}
		[[ -n $name ]] || continue
		case $line in
		*ok)
			ktap_test_pass "$name"
			passes=$((passes + 1)) ;;
		*"skipped "*)
			odp_skip "$name" "${line##*skipped }" ;;
		*ERROR | *FAIL)
			ktap_test_fail "$name" ;;
		*)
			continue ;;
		esac
		name=
	done <"$1"
}

enough() {
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
[[ -n $RUNNER ]] || odp_skip_all "rdma-core's tests are not installed"
odp_huge_pages "$HUGE_PAGES"

odp_load
odp_counters_save
log=$odp_tmp/log
status=0
(cd "$(dirname "$RUNNER")" &&
	python3 "$RUNNER" --dev "$ODP_DEV" -v -k odp) >"$log" 2>&1 || status=$?
odp_plan $(($(grep -c '^test_' "$log") + 3))
passes=0
report "$log"
odp_ok "run_tests.py succeeded" test "$status" = 0
odp_ok "at least $PASSES tests pass" enough
odp_ok "the module's counters show that Rust served them" rust_served
((status == 0)) || sed 's/^/# /' "$log"

odp_finish
