#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Nobody who destroys, closes, exits, is killed or removes a device waits for a page fault.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"
# shellcheck source=lib/cases.sh
. "$ODP_HERE/lib/cases.sh"
# shellcheck source=lib/slab.sh
. "$ODP_HERE/lib/slab.sh"
# shellcheck source=lib/fuse.sh
. "$ODP_HERE/lib/fuse.sh"
# shellcheck source=lib/held.sh
. "$ODP_HERE/lib/held.sh"

LIMIT=$((2 * ODP_SLOW))	# seconds, for whatever has to end
TOLD=75			# seconds until the log says what the module waits for
SLACK=12		# objects; a leak is one for each operation that waits, or call
VETH=odp_veth

teardown() {
	"$ODP_BIN/rxe_teardown" "$@"
}

# --- a device on a net device of our own, which may go -----------------------------------

# It has a driver that nobody else uses.
own_netdev() {
	rdma link delete "$ODP_DEV" || return
	make_veth || return
	rxe_netdev=$VETH
	rxe_link
}

make_veth() {
	modprobe veth && ip link add "$VETH" type veth peer name "${VETH}_peer" &&
		ip address add 10.0.77.1/24 dev "$VETH" &&
		ip link set "${VETH}_peer" up && ip link set "$VETH" up
}

# shellcheck disable=SC2317 # called at exit
own_netdev_gone() {
	[[ ! -e /sys/class/infiniband/$ODP_DEV ]] || odp_within 30 rdma link delete "$ODP_DEV"
	ip link delete "$VETH" 2>/dev/null
	rxe_netdev=$found_netdev
	[[ $rxe_now != "$rxe_found" ]] || rxe_link
}

others_use_veth() {
	ip -o link show type veth | grep -qv "^[0-9]*: $VETH"
}

# --- removals, amid faults of every kind ---------------------------------------------------

remove_link() {
	rdma link delete "$ODP_DEV"
}

remove_netdev() {
	ip link delete "$VETH" && device_goes
}

remove_driver() {
	modprobe --remove veth && device_goes
}

# What a net device takes with it goes a moment later.
device_goes() {
	odp_wait $((10 * LIMIT)) test ! -e "/sys/class/infiniband/$ODP_DEV"
}

# removal MEMORY HOW: the one that waits in every way is still there, and is served then.
removal() {
	held_start "$ODP_BIN/rxe_teardown" hold "$1" || return
	odp_within "$LIMIT" "remove_$2" || {
		held_serve
		return 1
	}
	held_serve
}

# What would serve the faults is gone, and the memory with it: an error, as always then.
file_system_goes() {
	held_start "$ODP_BIN/rxe_teardown" hold "$1" || return
	fuse_stop
	held_serve || {
		held_kill
		fuse_start
		return 1
	}
	fuse_start
}

# The same, and the device goes before it.
removal_of_file_system() {
	local status=0

	held_start "$ODP_BIN/rxe_teardown" hold fuse || return
	odp_within "$LIMIT" remove_link || status=$?
	fuse_stop
	held_kill
	fuse_start && return "$status"
}

comes_back() {
	odp_within 30 device_goes || return
	[[ -e /sys/class/net/$VETH ]] || make_veth || return
	rxe_link
}

# --- the module goes -------------------------------------------------------------------------

module_goes() {
	held_start "$ODP_BIN/rxe_teardown" hold uffd || return
	rxe_now=none
	odp_within "$LIMIT" rmmod rdma_rxe || {
		held_serve
		odp_wait 30 test ! -e /sys/module/rdma_rxe
		return 1
	}
	held_serve
	[[ ! -e /sys/module/rdma_rxe ]]
}

told_who() {
	dmesg | sed "1,/$odp_log_mark/d" | grep rdma_rxe | grep "page fault" |
		grep rxe_teardown | grep -w "$held_pid"
}

# A fault of FUSE may be unkillable: the module waits then, and says for whom.
module_waits() {
	local removal told=yes status=0

	held_start "$ODP_BIN/rxe_teardown" hold fuse-random || return
	rxe_now=none
	rmmod rdma_rxe &
	removal=$!
	odp_within "$LIMIT" is_over "$removal" || {
		odp_wait "$TOLD" told_who || told=no
		told_who || echo "the kernel log does not say whom it waits for"
	}
	fuse_stop
	odp_within "$LIMIT" is_over "$removal" && wait "$removal" || status=1
	held_kill
	[[ $status == 0 && $told == yes && ! -e /sys/module/rdma_rxe ]]
}

is_over() {
	while [[ -e /proc/$1 ]]; do
		sleep 0.05
	done
}

odp_init
rxe_use rust
found_netdev=$rxe_netdev
! others_use_veth || odp_skip_all "there are other net devices of veth"
odp_at_exit own_netdev_gone
own_netdev
fuse_start || odp_skip_all "no fuse_unserved (it wants libfuse3-dev), or no FUSE"

# What is made at the first use is there then
for memory in uffd fuse; do
	held_start "$ODP_BIN/rxe_teardown" hold "$memory" && held_serve
done >/dev/null
slab_save
cases_run uffd teardown uffd
cases_run fuse teardown fuse
cases_run shared teardown fuse-shared few
cases_run random teardown fuse-random few
odp_plan $(($(cases_count uffd) + $(cases_count fuse) + $(cases_count shared) +
	$(cases_count random) + 20))
for name in uffd fuse shared random; do
	cases_report "$name"
done
odp_ok "slab objects are back" slab_is_back "$SLACK"
for memory in uffd fuse; do
	odp_ok "$memory: rdma link delete does not wait" removal "$memory" link
	odp_ok "$memory: then there can be one again" comes_back
	odp_ok "$memory: the net device goes, and nobody waits" removal "$memory" netdev
	odp_ok "$memory: then there can be one again, with another" comes_back
	odp_ok "$memory: the net device's driver goes, and nobody waits" removal "$memory" driver
	odp_ok "$memory: then there can be one again, with another driver" comes_back
done
for memory in fuse fuse-random; do
	odp_ok "$memory: the file system goes, and who waits gets an error" file_system_goes \
		"$memory"
done
odp_ok "rdma link delete does not wait, and the file system goes" removal_of_file_system
odp_ok "then there can be one again" comes_back
odp_ok "slab objects are back after that" slab_is_back "$SLACK"
rxe_ok_in_use "the module goes, amid faults of userfaultfd" module_goes
rxe_use rust
rxe_ok_in_use "the module goes amid faults of FUSE, or says whom it waits for" module_waits
odp_finish
