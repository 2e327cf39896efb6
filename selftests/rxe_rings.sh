#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What a process writes into the rings that it shares with rxe harms nobody but itself.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"
# shellcheck source=lib/cases.sh
. "$ODP_HERE/lib/cases.sh"
# shellcheck source=lib/slab.sh
. "$ODP_HERE/lib/slab.sh"

ROUNDS=$(odp_rounds 4 400)
ENTRIES=${ENTRIES:-6000}	# of a round
ROUND_S=$((120 * ODP_SLOW))
SEED=${SEED:-$((RANDOM << 15 | RANDOM))}
SLACK=60	# objects; a leak is one for each of some hundred queue pairs
STOCK_RUNS=6
HUGE_PAGES=24	# for the traffic
# Workers of a work queue stay for five minutes: of tasks, nothing can be said.
unset "slab_pattern[task_struct]" "slab_pattern[pid]"
declare -A counts=()

control() {
	odp_control "control, stock: $1" cases_defect stock "$1"
}

# Some are races, which are not lost each time.
stock_until_seen() {
	local run

	for ((run = 0; run < STOCK_RUNS; run++)); do
		all_seen || cases_run stock "$ODP_BIN/rxe_rings"
	done
	odp_run odp_log_clean
}

all_seen() {
	local defect

	for defect in "${defects[@]}"; do
		grep -qsF -- "fail $defect: " "$odp_tmp/cases.stock" || return 1
	done
}

# round NUMBER: its seed is the first one's and that.
round() {
	local ends=(destroy exit) word number what status=0

	SEED=$((SEED + $1)) odp_within "$ROUND_S" "$ODP_BIN/rxe_rings_fuzz" "$ENTRIES" \
		"${ends[$1 % 2]}" >"$odp_tmp/round" 2>&1 || status=$?
	while read -r word number what; do
		[[ $word != count ]] || counts[$what]=$((${counts[$what]:-0} + number))
	done <"$odp_tmp/round"
	((status == 0)) || cat "$odp_tmp/round"
	return "$status"
}

rounds() {
	echo "seed=$SEED"
	odp_repeat "$ROUNDS" round
	cat "$odp_tmp/round"
}

# Others go on, meanwhile and afterwards.
bystander() {
	"$ODP_BIN/rxe_transfer" odp "$1"
}

amid() {
	local other status=0

	"$ODP_BIN/rxe_rings_fuzz" "$ENTRIES" exit >"$odp_tmp/other" 2>&1 &
	other=$!
	bystander 200 || status=$?
	wait "$other" || status=$?
	return "$status"
}

device_lives() {
	rdma link show "$ODP_DEV/1" | tee /dev/stderr | grep -q "state ACTIVE"
}

objects_are_gone() {
	[[ $(rdma resource show qp link "$ODP_DEV/" | grep -c rxe_rings) == 0 ]]
}

# There is no control of wrong requests, nor of random ones: at the second, and at one of the
# first, stock reads from an address that is not there, and the guest ends.
odp_init
odp_huge_pages "$HUGE_PAGES"
rxe_use rust
cases_run later "$ODP_BIN/rxe_rings"
cases_run wrong "$ODP_BIN/rxe_rings_wrong"
defects=(
	"the number of a request that is under way changes"
	"a request that nobody has received says that it is done"
	"a request is there before its queue pair is ready"
	"a request says that its data is in another one"
	"a request says that more is left than there is"
	"a receive request begins behind the end of its list"
	"a receive request has a list that is too long"
	"a wrong request in a shared queue fails one queue pair"
	"a shared queue says how long it is"
	"requests of a failed send queue, without end"
	"requests of a failed receive queue, without end"
	"the index is beyond the ring"
)
((ODP_SLOW == 1)) || defects=()
rxe_use stock
stock_until_seen
rxe_use rust
odp_plan $(($(cases_count later) + $(cases_count wrong) + ${#defects[@]} + 6))
cases_report later
cases_report wrong
for defect in "${defects[@]}"; do
	control "$defect"
done
odp_ok "a process that does all of that, and another one's traffic" amid
slab_save
odp_ok "$ROUNDS rounds of $ENTRIES random entries" rounds
for what in "${!counts[@]}"; do
	odp_figure "$what" "${counts[$what]}"
done
odp_ok "nothing of theirs is left" odp_wait 20 objects_are_gone
odp_ok "slab objects are back" slab_is_back "$SLACK"
odp_ok "another process's traffic is right" bystander 300
odp_ok "the link lives" device_lives
odp_finish
