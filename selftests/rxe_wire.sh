#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A peer who sends what he likes reads and writes nothing that he has no right to.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"

PACKETS=$(odp_rounds 20000 1000000)
SEED=${SEED:-$((RANDOM << 15 | RANDOM))}
ENDS=(odpw0 odpw1)	# a network; the second end is the peer's, and has no address here
HERE=10.9.2.1
PEER=10.9.2.2
SHARE=70	# of a hundred packets, those that get to a queue pair
EXECUTED=40	# and PSNs that are executed

network_up() {
	modprobe veth && ip link add "${ENDS[0]}" type veth peer name "${ENDS[1]}" || return
	odp_at_exit network_down
	sysctl -q "net.ipv6.conf.${ENDS[1]}.disable_ipv6=1"
	ip address add "$HERE/24" dev "${ENDS[0]}" && ip link set "${ENDS[0]}" up &&
		ip link set "${ENDS[1]}" up &&
		ip neigh replace "$PEER" nud permanent dev "${ENDS[0]}" lladdr "$(mac 1)" || return
}

network_down() {
	rdma link delete "$ODP_DEV" 2>/dev/null
	ip link delete "${ENDS[0]}"
	rxe_now=none
}

mac() {
	cat "/sys/class/net/${ENDS[$1]}/address"
}

# use rust|stock: the device is on the network from now on
use() {
	rxe_use "$1" && rdma link delete "$ODP_DEV" &&
		rdma link add "$ODP_DEV" type rxe netdev "${ENDS[0]}" &&
		odp_wait "$RXE_WAIT" rxe_ready
}

fuzz() {
	SEED=$SEED PACKETS=$PACKETS RXE_WIRE=$ODP_BIN/rxe_wire "$ODP_HERE/lib/wire_fuzz" \
		"$ODP_DEV" "${ENDS[1]}" "$(mac 1)" "$PEER" "$(mac 0)" "$HERE"
}

# case_of NAME [pinned]: of an ODP region stock reads the wrong bytes, so it has pinned ones only.
case_of() {
	CASE=$1 KIND=${2:-odp} fuzz
}

cases() {
	local name

	for name in "${!what[@]}"; do
		"$1" "$2${what[$name]}" case_of "$name" "${@:3}"
	done
}

count_of() {
	sed -n "s/^count \([0-9]*\) $1\$/\1/p" <<<"$counts"
}

# What is dropped at once tests nothing.
gets_through() {
	local sent past executed

	sent=$(count_of "packets sent")
	past=$(count_of "packets past the header checks")
	executed=$(count_of "PSNs executed")
	echo "of ${sent:=0} packets ${past:=0} got to a queue pair, ${executed:=0} PSNs were executed"
	((sent >= PACKETS && past * 100 >= sent * SHARE && executed * 100 >= sent * EXECUTED))
}

figures() {
	local word number what

	while read -r word number what; do
		[[ $word != count ]] || odp_figure "$what" "$number"
	done <<<"$counts"
}

declare -A what=(
	[vault]="memory of another protection domain is read: a READ that comes again"
	[window_read]="memory outside of a window is read"
	[window_write]="memory outside of a window is written"
	[lost]="a message of UC is lost with a packet of the one before"
)

odp_init
python3 -c 'import scapy.contrib.roce' 2>/dev/null || odp_skip_all "no scapy"
odp_plan $((2 * ${#what[@]} + 2))
rxe_start
odp_run network_up || odp_skip_all "no veth"
use stock
cases odp_control "control, stock: " pinned
use rust
cases odp_ok "not so: "
odp_ok "$PACKETS packets: nothing is read or written that may not" fuzz
counts=$(grep '^count ' "$odp_tmp/output" || true)
odp_ok "most of them get through" gets_through
figures
odp_finish
