# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Tests of rdma_rxe.ko with its ODP half in Rust; after odp.sh, before odp_init,
# which then skips where there is no such module.
#
#   rxe_use rust|stock            the device is served by this module from now on
#   rxe_mtu BYTES                 its active MTU: 256, 512, 1024, 2048 or 4096
#   rxe_goes_in_use               whether its module can be removed while it is in use
#   rxe_ok_in_use DESCRIPTION COMMAND…   odp_ok, where it can
#
# The device must be of rxe, and nobody may use it while its module changes. At the
# end, module and MTU are again what they were. rust_umem_odp.ko is off meanwhile:
# "stock" means all of it.
#
# Environment: RXE_MODULE (rdma_rxe.ko beside the tests).

RXE_MODULE=${RXE_MODULE:-$ODP_BIN/rdma_rxe.ko}
RXE_HEADERS=80	# bytes that rxe takes off the MTU of the net device
RXE_WAIT=20	# seconds for a module to be let go, and for a GID to come
odp_needs=("$RXE_MODULE")
rxe_now=

# rust or stock. Debian's own module is the one that does not taint.
rxe_loaded() {
	if [[ ! -e /sys/module/rdma_rxe ]]; then
		echo none
	elif [[ $(</sys/module/rdma_rxe/taint) == *O* ]]; then
		echo rust
	else
		echo stock
	fi
}

rxe_use() {
	[[ -n $rxe_now ]] || rxe_start || return
	odp_unload || return
	[[ $rxe_now != "$1" ]] || return 0
	rxe_remove || return
	case $1 in
	rust)
		modprobe --all ib_core ib_uverbs udp_tunnel ip6_udp_tunnel &&
			insmod "$RXE_MODULE" || return ;;
	stock)
		modprobe rdma_rxe || return ;;
	esac
	rxe_now=$1
	rxe_link
}

# With lockdep, each socket of a queue pair holds the module, which has its locks' classes.
rxe_goes_in_use() {
	[[ ! -e /proc/lockdep ]]
}

rxe_ok_in_use() {
	if rxe_goes_in_use; then
		odp_ok "$@"
	else
		ktap_test_skip "$1: with lockdep, sockets hold the module"
	fi
}

rxe_start() {
	rxe_netdev=$(odp_find_netdev)
	[[ -n $rxe_netdev ]] || {
		echo "no netdev under $ODP_DEV"
		return 1
	}
	rxe_found=$(rxe_loaded)
	rxe_now=$rxe_found
	rxe_found_mtu=$(<"/sys/class/net/$rxe_netdev/mtu")
	odp_at_exit rxe_restore
}

rxe_restore() {
	ip link set "$rxe_netdev" mtu "$rxe_found_mtu"
	rxe_use "$rxe_found"
}

rxe_remove() {
	[[ ! -e /sys/class/infiniband/$ODP_DEV ]] ||
		rdma link delete "$ODP_DEV" || return
	rxe_now=none
	odp_wait "$RXE_WAIT" rxe_rmmod || {
		echo "rdma_rxe is not let go"
		return 1
	}
}

rxe_rmmod() {
	[[ ! -e /sys/module/rdma_rxe ]] || rmmod rdma_rxe 2>/dev/null
}

rxe_link() {
	rdma link add "$ODP_DEV" type rxe netdev "$rxe_netdev" || return
	odp_wait "$RXE_WAIT" rxe_ready || {
		echo "$ODP_DEV has no GID, or its port is not active"
		return 1
	}
}

# The port is active and has a GID of IPv4, which every MTU allows.
rxe_ready() {
	local port=/sys/class/infiniband/$ODP_DEV/ports/1

	grep -q ACTIVE "$port/state" 2>/dev/null &&
		cat "$port"/gids/[0-3] 2>/dev/null |
			grep -q '^0000:0000:0000:0000:0000:ffff'
}

rxe_mtu() {
	[[ -n $rxe_now ]] || rxe_start || return
	ip link set "$rxe_netdev" mtu $(($1 + RXE_HEADERS))
	odp_wait "$RXE_WAIT" rxe_ready || {
		echo "$ODP_DEV has no GID at an MTU of $1"
		return 1
	}
}
