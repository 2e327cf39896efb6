#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Thousands of queue pairs and prefetches that wait for pages hold up no other process.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"
# shellcheck source=lib/cases.sh
. "$ODP_HERE/lib/cases.sh"
# shellcheck source=lib/slab.sh
. "$ODP_HERE/lib/slab.sh"

QPS=$(odp_fewer 4096)
PREFETCHES=$(odp_fewer 10000)
FEW=$((QPS / 8))
SOME=$((PREFETCHES / 8))
ON_C=2200	# more than the 2,048 of a work queue
SLACK=60	# objects; a leak is one for each queue pair, or each prefetch
# Workers of a work queue stay for five minutes: of tasks, nothing can be said.
unset "slab_pattern[task_struct]" "slab_pattern[pid]"
slab_pattern[UDP]='^UDP$'	# a socket is a queue pair's

crowd() {
	"$ODP_BIN/rxe_crowd" "$@"
}

figures() {
	sed -n 's/^figure //p' "$odp_tmp/cases.$1" | while IFS=: read -r what number; do
		odp_figure "$1: ${what%, *}" "${number# }" "${what##*, }"
	done
}

odp_init
rxe_use rust
# Once before, so that what is made at the first use is there
cases_run warm crowd 64 64 serve
slab_save
cases_run serve crowd "$FEW" "$SOME" serve
cases_run keep crowd "$FEW" "$SOME" keep
cases_run kill crowd "$QPS" "$PREFETCHES" kill
odp_plan $(($(cases_count serve) + $(cases_count keep) + $(cases_count kill) + 2))
for name in serve keep kill; do
	odp_log "crowd: $name"
	cases_report "$name"
	figures "$name"
done
odp_ok "slab objects are back" slab_is_back "$SLACK"
rxe_use stock
odp_control "control, C: $ON_C prefetches hold up another process" crowd waits "$ON_C"
odp_finish
