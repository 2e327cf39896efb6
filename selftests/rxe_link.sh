#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A link that cannot be made is an error, and leaves no socket: not its UDP port either.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"

PORT=12B7	# 4791, as /proc/net/udp has it

has_port() {
	grep -qi ":$PORT 0" /proc/net/udp /proc/net/udp6
}

# leaves_no_socket: a link of which the name is taken, and then no link at all. 1: there is
# a socket.
leaves_no_socket() {
	has_port || {
		echo "the link has no socket"
		return 2
	}
	if rdma link add "$ODP_DEV" type rxe netdev lo; then
		echo "$ODP_DEV could be made a second time"
		return 2
	fi
	has_port || {
		echo "the link lost its socket"
		return 2
	}
	rdma link delete "$ODP_DEV" || return 2
	! has_port || {
		echo "without a link, UDP port 4791 is taken"
		return 1
	}
	rxe_link || return 2
}

odp_init
odp_plan 2

rxe_use rust
odp_ok "a link of which the name is taken leaves no socket" leaves_no_socket
what="control, stock: the socket stays"
if [[ -e /sys/kernel/debug/kmemleak ]]; then
	ktap_test_skip "$what: this kernel looks for leaks"
else
	rxe_use stock
	odp_control "$what" leaves_no_socket
	# The socket goes with the module; who comes next wants a link.
	rxe_use rust
fi
odp_finish
