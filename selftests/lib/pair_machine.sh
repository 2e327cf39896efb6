# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# For the tests between two machines: what they do on both of them; after odp.sh, rxe.sh
# and swap.sh. lib/pair_agent runs these functions, and those of rxe.sh, on the other one.

PAIR_CUT=/run/odp_pair_cut	# how many packets the last cut has dropped

# Swap to memory, for pages to be taken away and brought back.
pair_swap_on() {
	swap_on zram
}

pair_swap_off() {
	swap_dev=$(swapon --show=NAME --noheadings)
	swap_zram=${swap_dev#/dev/zram}
	swap_off
}

# pair_netem [OPTION…]: what tc-netem(8) does to all that leaves this machine, or nothing.
pair_netem() {
	local netdev

	netdev=$(odp_find_netdev)
	if [[ $# == 0 ]]; then
		tc qdisc del dev "$netdev" root 2>/dev/null || true
	else
		tc qdisc replace dev "$netdev" root netem limit 10000 "$@"
	fi
}

# Packets that netem dropped since it was set.
pair_dropped() {
	tc -s qdisc show dev "$(odp_find_netdev)" root |
		sed -n 's/.*(dropped \([0-9]*\).*/\1/p'
}

# pair_counted NAME: a counter of the RDMA device.
pair_counted() {
	cat "/sys/class/infiniband/$ODP_DEV/ports/1/hw_counters/$1"
}

# What there is on the RDMA device, of each kind, in a line.
pair_resources() {
	rdma resource show "$ODP_DEV" | sed 's/^[0-9]*: //'
}

# pair_link_down SECONDS: returns at once.
pair_link_down() {
	local netdev

	netdev=$(odp_find_netdev)
	(
		sleep 0.5
		ip link set "$netdev" down
		sleep "$1"
		ip link set "$netdev" up
	) >/dev/null 2>&1 &
}

# pair_cut SECONDS: nothing leaves this machine for so long; returns at once.
pair_cut() {
	rm -f "$PAIR_CUT"
	(
		pair_netem loss 100%
		sleep "$1"
		pair_dropped >"$PAIR_CUT"
		pair_netem
	) >/dev/null 2>&1 &
}

# Whether there was a cut, and it dropped packets.
pair_was_cut() {
	echo "dropped by the cut: $(<"$PAIR_CUT")" && (($(<"$PAIR_CUT") > 0))
}

# pair_listens PORT: waits until a program does, at a TCP port.
pair_listens() {
	odp_wait "$((60 * ODP_SLOW))" pair_is_open "$1"
}

pair_is_open() {
	ss -Htln "sport = :$1" | grep -q .
}

# Run by the agent, as bash -c '. lib/pair_machine.sh' ./pair_agent FUNCTION…
if [[ ${0##*/} == pair_agent ]]; then
	# shellcheck source=odp.sh
	. "${0%/*}/lib/odp.sh"
	# shellcheck source=rxe.sh
	. "${0%/*}/lib/rxe.sh"
	# shellcheck source=swap.sh
	. "${0%/*}/lib/swap.sh"
	odp_cleanups=()
	"$@"
fi
