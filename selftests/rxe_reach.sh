#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A peer reaches what its key is of, and no more: windows, requests that come again, by hand.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"
# shellcheck source=lib/cases.sh
. "$ODP_HERE/lib/cases.sh"

ENDS=(odp_roce0 odp_roce1)	# the device's, and its peer's, who is no RDMA device
ADDRESSES=(10.9.2.1 10.9.2.2)

# --- a network whose other end is ours -----------------------------------------------------

network_up() {
	modprobe veth && ip link add "${ENDS[0]}" type veth peer name "${ENDS[1]}" || return
	found_netdev=$rxe_netdev
	odp_at_exit network_down
	ip address add "${ADDRESSES[0]}/24" dev "${ENDS[0]}" &&
		ip link set "${ENDS[0]}" up && ip link set "${ENDS[1]}" up &&
		ip neigh replace "${ADDRESSES[1]}" nud permanent dev "${ENDS[0]}" \
			lladdr "$(<"/sys/class/net/${ENDS[1]}/address")" || return
	rdma link delete "$ODP_DEV" || return
	rxe_netdev=${ENDS[0]}
	rxe_link
}

# shellcheck disable=SC2317 # called at exit
network_down() {
	[[ ! -e /sys/class/infiniband/$ODP_DEV ]] || rdma link delete "$ODP_DEV"
	ip link delete "${ENDS[0]}"
	rxe_netdev=$found_netdev
	[[ $rxe_now != "$rxe_found" ]] || rxe_link
}

records() {
	"$ODP_BIN/rxe_records" "${ENDS[1]}" "${ADDRESSES[1]}" "${ENDS[0]}" "${ADDRESSES[0]}" "$1"
}

# What it says then goes to nobody: not to the console, nor to the check of the log.
warn_on_stock() {
	dmesg --console-level emerg
	cases_run stock-warn records warn
	dmesg --console-level debug
	odp_log_mark="selftest ${0##*/} $$ $RANDOM"
	echo "$odp_log_mark" >/dev/kmsg
}

# --- what stock C gets wrong ----------------------------------------------------------------

windows_of_stock=(
	"type 1, pinned, a byte before, READ"
	"type 1, pinned, a byte behind, WRITE"
	"type 1, pinned, eight bytes behind, FETCH_ADD"
	"type 2, pinned, over the end, READ"
	"type 2, pinned, from zero, a byte behind, READ"
	"type 2, pinned, from zero, a byte beyond the region, bind"
	"type 1, pinned, last IOVA, in the midst of the region, bind"
	"type 2, pinned, last IOVA, over the end of all addresses, bind"
	"type 2, pinned, another queue pair invalidates"
	"type 2, pinned, another PD invalidates"
	"type 2, pinned, another PD's peer invalidates"
	"type 1, pinned, the region becomes read-only, WRITE"
	"type 2, pinned, the region goes to another PD, READ"
	"type 2, pinned, a FLUSH that the region does not allow, bind"
)
records_of_stock=(
	"memory of another process, pinned, by the record of a FLUSH"
	"memory of another process, pinned, by the record of a FETCH_ADD"
	"a FLUSH that comes again where a READ was"
	"a FETCH_ADD that comes again where a READ was"
	"an ATOMIC_WRITE that comes again where a FETCH_ADD was"
	"a READ that comes again, the region went to another PD"
	"a READ that comes again, the region is not readable any more"
	"a READ that comes again, the window is not readable any more"
	"a READ that comes again, the window is elsewhere"
	"a READ that comes again, the window is another queue pair's"
	"a READ that comes again, of a window from zero"
	"a READ that comes again over the end of all addresses"
	"a READ of nothing that comes again"
	"a READ that comes again, first its end, then all of it"
	"a READ that comes again by the PSN of its third packet"
	"a FLUSH that asks for nothing"
)

controls() {
	local name

	for name in "${windows_of_stock[@]}"; do
		odp_control "control, stock: $name" cases_defect stock-windows "$name"
	done
	for name in "${records_of_stock[@]}"; do
		odp_control "control, stock: $name" cases_defect stock-records "$name"
	done
}

odp_init
rxe_use stock
cases_run stock-windows "$ODP_BIN/rxe_reach" pinned
odp_run network_up
cases_run stock-records records cases
odp_run odp_log_clean
[[ ${ODP_SOAK:-0} != 1 ]] || warn_on_stock
rxe_use rust
cases_run records records cases
cases_run warn records warn
cases_run pinned "$ODP_BIN/rxe_reach" pinned
cases_run odp "$ODP_BIN/rxe_reach" odp
count=$((${#windows_of_stock[@]} + ${#records_of_stock[@]}))
for name in records warn pinned odp; do
	((count += $(cases_count "$name")))
done
[[ ${ODP_SOAK:-0} != 1 ]] || ((++count))
odp_plan "$count"
for name in records warn pinned odp; do
	cases_report "$name"
done
controls
[[ ${ODP_SOAK:-0} != 1 ]] ||
	odp_control "control, stock: a WRITE of nothing with something in it" \
		cases_defect stock-warn "a WRITE of nothing with something in it"

odp_finish
