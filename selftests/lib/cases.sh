# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# For tests whose client prints a line for each case: "pass|fail|skip what: result";
# after odp.sh.
#
#   cases_run NAME COMMAND…       keeps the lines, under that name, behind those of before
#   cases_count NAME              how many results they are
#   cases_report NAME             a KTAP result for each
#   cases_defect NAME "what"      for odp_control: the case of that name failed, in a run

cases_run() {
	local file=$odp_tmp/cases.$1 status=0

	shift
	"$@" >>"$file" || status=$?
	[[ $status == 0 && -s $file ]] ||
		echo "fail the client reaches its end: exit status $status" >>"$file"
}

cases_count() {
	grep -cE '^(pass|fail|skip) ' "$odp_tmp/cases.$1"
}

cases_report() {
	local result what

	while read -r result what; do
		case $result in
		pass)
			ktap_test_pass "$what" ;;
		fail)
			ktap_test_fail "$what" ;;
		skip)
			odp_skip "${what%%: *}" "${what#*: }" ;;
		*)
			odp_log "$result $what" ;;
		esac
	done <"$odp_tmp/cases.$1"
}

cases_defect() {
	grep -F -- " $2: " "$odp_tmp/cases.$1" || {
		cat "$odp_tmp/cases.$1"
		return 2
	}
	! grep -qF -- "fail $2: " "$odp_tmp/cases.$1" || return 1
}
