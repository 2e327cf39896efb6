#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Random verbs, right and wrong ones, from threads that destroy each other's objects: no harm.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"
# shellcheck source=lib/slab.sh
. "$ODP_HERE/lib/slab.sh"

CALLS=$(odp_rounds 40000 4000000)
SLACK=60	# objects
unset "slab_pattern[task_struct]" "slab_pattern[pid]"	# workers stay for a while

fuzz() {
	"$ODP_BIN/rxe_verbs_fuzz" "$1"
}

# What is never accepted does not get far; but what is made of nothing but chance may not be.
all_accepted() {
	local made accepted what status=0

	while read -r _ made accepted what; do
		((accepted > 0)) || [[ $what == any* ]] || {
			echo "no $what was accepted, of $made"
			status=1
		}
	done <<<"$counts"
	[[ -n $counts ]] && return "$status"
}

figures() {
	local made accepted what

	while read -r _ made accepted what; do
		odp_figure "$what" "$accepted" "of $made"
	done <<<"$counts"
}

nothing_left() {
	rdma resource show "$ODP_DEV"
	slab_is_back "$SLACK"
}

link_lives() {
	rdma link show "$ODP_DEV/1" | grep "state ACTIVE"
}

module_goes() {
	rxe_remove && [[ ! -e /sys/module/rdma_rxe ]]
}

odp_init
odp_plan 7
odp_huge_pages 24	# for what verifies data
rxe_use stock
odp_control "control, stock: a path MTU of 0 is accepted" fuzz mtu
rxe_use rust
odp_ok "a path MTU that does not exist is refused" fuzz mtu
# Once before, so that what is made at the first use is there
odp_run fuzz 1 || true
slab_save
odp_ok "$CALLS random calls" fuzz "$CALLS"
counts=$(grep '^count ' "$odp_tmp/output" || true)
odp_ok "some of each are accepted" all_accepted
figures
odp_ok "nothing is left" nothing_left
odp_ok "the link lives, and data is right" "$ODP_BIN/rxe_transfer" odp 200
odp_ok "the module can be removed" module_goes
odp_finish
