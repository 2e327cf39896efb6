#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Objects come and go at random, with their process or device, amid faults and loss: all goes.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"
# shellcheck source=lib/slab.sh
. "$ODP_HERE/lib/slab.sh"

ROUNDS=$(odp_rounds 6 400)
MS=${MS:-$((2500 * ODP_SLOW))}
SEED=${SEED:-$((RANDOM << 15 | RANDOM))}
OTHER=rxe_other		# the second device
ENDS=(odpr0 odpr1)	# a network between the two
SLACK=60	# objects; a leak is one for some of the queue pairs, of which there are hundreds
# Workers of a work queue stay for five minutes: of tasks, nothing can be said.
unset "slab_pattern[task_struct]" "slab_pattern[pid]"
slab_pattern[UDP]='^UDP$'	# a socket is a queue pair's
declare -A counts=()
slowest=0

# What goes to one of this machine's own addresses goes through the network, and is lost
# now and then, if it is said so before the table of local addresses is asked.
network_up() {
	local i

	modprobe --all veth sch_netem 2>/dev/null || return 1
	ip link add "${ENDS[0]}" type veth peer name "${ENDS[1]}" || return 1
	odp_at_exit network_down
	ip rule add pref 100 lookup local && ip rule delete pref 0 lookup local || return
	for i in 0 1; do
		sysctl -q "net.ipv4.conf.${ENDS[i]}.accept_local=1" "net.ipv4.conf.${ENDS[i]}.rp_filter=0"
		ip address add "10.9.1.$((i + 1))/24" dev "${ENDS[i]}" && ip link set "${ENDS[i]}" up || return
	done
	for i in 0 1; do
		ip rule add pref $((10 + i)) iif lo to "10.9.1.$((2 - i))" lookup $((901 + i)) &&
			ip route add "10.9.1.$((2 - i))/32" dev "${ENDS[i]}" table $((901 + i)) &&
			ip neigh replace "10.9.1.$((2 - i))" nud permanent dev "${ENDS[i]}" \
				lladdr "$(<"/sys/class/net/${ENDS[1 - i]}/address")" &&
			tc qdisc replace dev "${ENDS[i]}" root netem limit 10000 loss 2% \
				delay 1ms 500us reorder 25% || return
	done
	sysctl -q net.ipv4.conf.all.rp_filter=0
	rdma link delete "$ODP_DEV" && rdma link add "$ODP_DEV" type rxe netdev "${ENDS[0]}" &&
		rdma link add "$OTHER" type rxe netdev "${ENDS[1]}" &&
		odp_wait "$RXE_WAIT" rxe_ready
}

network_down() {
	rdma link delete "$OTHER" 2>/dev/null
	rdma link delete "$ODP_DEV" 2>/dev/null
	ip link delete "${ENDS[0]}"
	ip rule add pref 0 lookup local
	ip rule delete pref 100 lookup local
	ip rule delete pref 10
	ip rule delete pref 11
	rxe_now=none
}

packets_were_lost() {
	local dropped=0 end

	for end in "${ENDS[@]}"; do
		((dropped += $(tc -s qdisc show dev "$end" root | sed -n 's/.*(dropped \([0-9]*\).*/\1/p')))
	done
	odp_figure "packets dropped" "$dropped"
	((dropped > 0))
}

storm() {
	"$ODP_BIN/rxe_ref_storm" "$1" "${devices[@]}"
}

add_counts() {
	local word number what

	while read -r word number what; do
		case $word in
		count) counts[$what]=$((${counts[$what]:-0} + number)) ;;
		slowest)
			if ((number > slowest)); then
				slowest=$number
				slowest_what=$what
			fi ;;
		esac
	done <"$odp_tmp/round"
}

# round NUMBER: its seed is the first one's and that.
round() {
	local status=0

	SEED=$((SEED + $1)) storm "$MS" >"$odp_tmp/round" 2>&1 || status=$?
	add_counts
	if ((status)); then
		cat "$odp_tmp/round"
		return "$status"
	fi
	slab_is_back "$SLACK" >"$odp_tmp/slab" || {
		cat "$odp_tmp/round" "$odp_tmp/slab"
		return 1
	}
}

rounds() {
	echo "seed=$SEED"
	odp_repeat "$ROUNDS" round
}

# Nothing happened is no result.
all_happened() {
	local what status=0

	for what in "${!counts[@]}"; do
		((counts[$what] > 0)) || {
			echo "no $what"
			status=1
		}
	done
	((${#counts[@]} > 0)) && return "$status"
}

module_goes() {
	rdma link delete "$OTHER" 2>/dev/null || true
	rxe_remove && [[ ! -e /sys/module/rdma_rxe ]]
}

odp_init
odp_plan 6
rxe_use rust
devices=("$ODP_DEV" "$rxe_netdev")
has_loss=no
if odp_run network_up; then
	has_loss=yes
	devices=("$ODP_DEV" "${ENDS[0]}" "$OTHER" "${ENDS[1]}")
fi
# Once before, so that what is made at the first use is there
odp_run storm $((1000 * ODP_SLOW)) || true
slab_save
odp_ok "$ROUNDS rounds, nothing is left after each" rounds
odp_ok "all of it happened" all_happened
if [[ $has_loss == yes ]]; then
	odp_ok "packets were lost" packets_were_lost
else
	ktap_test_skip "packets were lost: no veth, netem or rules for routes"
fi
for what in "${!counts[@]}"; do
	odp_figure "$what" "${counts[$what]}"
done
odp_figure "slowest call (${slowest_what:-none})" "$slowest" ms
odp_control "control: what is left is seen" storm left
odp_control "control: a call that hangs is seen" storm stuck
odp_ok "the module can be removed" module_goes
odp_finish
