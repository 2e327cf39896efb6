# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# For tests that look at what steps of mr_steps do to counters; after odp.sh.

# expect "description" "steps, separated by ;" counter=delta…
# A delta is exact, or a lower bound with a + behind it.
expect() {
	local what=$1 steps

	IFS=';' read -r -a steps <<<"$2"
	odp_counters_save
	shift 2
	odp_ok "$what" moves "$@"
}

moves() {
	odp_step "${steps[@]}" && moved "$@"
}

# Compares what moved since odp_counters_save with counter=delta…
moved() {
	local want name number delta wrong=0

	for want; do
		name=${want%%=*}
		number=${want#*=}
		delta=$(odp_delta "$name")
		if [[ $number == *+ ]]; then
			((delta >= ${number%+})) && continue
		else
			((delta == number)) && continue
		fi
		echo "$name: $delta instead of $number"
		wrong=1
	done
	((wrong == 0)) || odp_deltas
	return "$wrong"
}
