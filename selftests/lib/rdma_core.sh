# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# rdma-core's own tests, for the tests that run them; after odp.sh.
#
# Environment: RUNNER (run_tests.py of rdma-core's sources).

RUNNER=${RUNNER:-$(find /usr/share/rdma-core* -name run_tests.py 2>/dev/null | head -n 1)}
RDMA_CORE_WAIT=$((300 * ODP_SLOW))	# seconds that a run may take
RDMA_CORE_HUGE_PAGES=64	# that some of the tests want

rdma_core_init() {
	[[ -n $RUNNER ]] || odp_skip_all "rdma-core's tests are not installed"
	odp_huge_pages "$RDMA_CORE_HUGE_PAGES"
}

# rdma_core_run RESULTS [ARGUMENT…]: runs the tests, all or those of the arguments;
# RESULTS gets lines of test, result (ok, skipped, ERROR, FAIL) and reason, with
# tabs between, and RESULTS.log what the tests said. Fails if one of them did.
rdma_core_run() {
	local results=$1 status=0

	shift
	(cd "$(dirname "$RUNNER")" &&
		timeout "$RDMA_CORE_WAIT" python3 -W ignore "$RUNNER" --dev "$ODP_DEV" -v "$@") \
		>"$results.log" 2>&1 || status=$?
	# "test_name (id) ... ok" of unittest, with a line break before a description,
	# and wherever a test writes something itself.
	awk -v OFS='\t' '
		match($0, /^test_[A-Za-z0-9_]+ \(tests\.[A-Za-z0-9_.]+\)/) {
			id = substr($0, RSTART, RLENGTH)
			sub(/^.*\(tests\./, "", id)
			sub(/\)$/, "", id)
		}
		id == "" { next }
		/(^|\.\.\. )skipped / { reason = $0; sub(/^.*skipped /, "", reason); print id, "skipped", reason; id = "" }
		/(^|\.\.\. )(ok|ERROR|FAIL)$/ { print id, $NF, ""; id = "" }
	' "$results.log" >"$results"
	return "$status"
}

# The tests of RESULTS that passed, sorted.
rdma_core_passed() {
	awk -F'\t' '$2 == "ok" { print $1 }' "$1" | LC_ALL=C sort -u
}

# A line of KTAP for each test of RESULTS whose name matches PATTERN.
rdma_core_report() {
	local id result reason

	while IFS=$'\t' read -r id result reason; do
		[[ $id =~ $2 ]] || continue
		case $result in
		ok)
			ktap_test_pass "${id##*.}" ;;
		skipped)
			odp_skip "${id##*.}" "$reason" ;;
		*)
			ktap_test_fail "${id##*.}" ;;
		esac
	done <"$1"
}
