# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The network of a pair of guests: an Ethernet by a unix socket, with nothing else on it.

# pair_devices NUMBER SOCKET: QEMU's options for guest NUMBER (0 or 1), a line each. Guest 0
# listens at SOCKET, also after the other has gone; guest 1 connects, again and again.
pair_devices() {
	local role=server=on
	[ "$1" = 0 ] || role=server=off,reconnect-ms=200
	printf '%s\n' \
		-netdev "stream,id=pair,$role,addr.type=unix,addr.path=${2//,/,,}" \
		-device "virtio-net-pci,netdev=pair,mac=52:54:00:00:01:0$(($1 + 1)),romfile="
}
