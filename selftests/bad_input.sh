#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Hostile lengths, ranges, keys and memory get an error through verbs, no warning.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"

odp_init
odp_load

cases=$odp_tmp/cases
"$ODP_BIN/bad_input" secret >"$cases"
odp_plan $(($(wc -l <"$cases") + 2))
while read -r result what; do
	odp_ok "$what" test "$result" = pass
done <"$cases"

# A sum that wraps: C walks an empty range, and fails only then
same_as_c() {
	diff <(grep -Ev 'wraps|memfd_secret' "$cases.c") <(grep -Ev 'wraps|memfd_secret' "$cases")
}

odp_unload
"$ODP_BIN/bad_input" >"$cases.c"
odp_ok "C gives the same answers" same_as_c
odp_ok "C: takes memory of memfd_secret" grep -q '^fail prefetch memory of memfd_secret' "$cases.c"

odp_finish
