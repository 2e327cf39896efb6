# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# For tests that run the client rxe_vma_storm; after odp.sh.
#
#   storm_ms SHORT LONG           milliseconds of a storm: $MS, or by ODP_SOAK
#   storm OWNERS MS ACTORS…       the client
#   storm_figures NAME            what the last one has counted

storm_ms() {
	if [[ ${ODP_SOAK:-0} == 1 ]]; then
		echo "${MS:-$2}"
	else
		echo "${MS:-$(($1 * ODP_SLOW))}"
	fi
}

storm() {
	"$ODP_BIN/rxe_vma_storm" "$@"
}

storm_figures() {
	local word what number

	while read -r word what number; do
		[[ $word != count ]] || odp_figure "$1, ${what//-/ }" "$number"
	done <"$odp_tmp/output"
}
