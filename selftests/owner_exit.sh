#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The owner of a region exits, is killed or execs amid faults: nothing is leaked.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/slab.sh
. "$ODP_HERE/lib/slab.sh"

ROUNDS=$(odp_rounds 500 5000)
SLACK=$((ROUNDS / 10 + 20))	# objects; a leak is one for each round of a kind

balanced() {
	(($(odp_delta umem_get) == $(odp_delta umem_release)))
}

all_released() {
	odp_wait 30 balanced
	odp_deltas
	balanced && (($(odp_delta umem_get) >= ROUNDS))
}

same_reference() {
	echo "module references: $references before, $(<"$refcnt") after"
	[[ $(<"$refcnt") == "$references" ]]
}

# Owners that were served by both, the module going and coming meanwhile.
while_toggled() {
	local owners status=0 times=0

	"$ODP_BIN/owner_exit" $((ROUNDS / 5)) >"$odp_tmp/toggled" 2>&1 &
	owners=$!
	while kill -0 "$owners" 2>/dev/null; do
		odp_unload && odp_load || status=$?
		times=$((times + 1))
	done
	wait "$owners" || status=$?
	cat "$odp_tmp/toggled"
	echo "the module was removed and loaded $times times"
	return $((status || times == 0))
}

odp_init
odp_plan 5
odp_load

# Once before, so that what is made at the first use is there
"$ODP_BIN/owner_exit" 20 >/dev/null
slab_save
refcnt=/sys/module/$ODP_NAME/refcnt
references=$(<"$refcnt")
odp_counters_save

odp_ok "$ROUNDS owners exit, are killed, exec, leave an orphan" \
	"$ODP_BIN/owner_exit" "$ROUNDS"
odp_ok "every region is released" all_released
odp_ok "the module's references are back" same_reference
odp_ok "$((ROUNDS / 5)) more while the module is removed and loaded" while_toggled
odp_ok "slab objects are back" slab_is_back "$SLACK"

odp_finish
