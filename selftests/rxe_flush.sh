#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# FLUSH answers as for pinned memory; persistence is for persistent memory alone.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"

# Makes the NVDIMM of the project's guest, which is nobody's, a device that maps it:
# $pmem_device. Elsewhere DAX_DEVICE= says which one may be written to.
pmem_find() {
	local devices=/sys/bus/nd/devices drivers=/sys/bus/nd/drivers

	pmem_device=${DAX_DEVICE:-/dev/dax0.0}
	[[ -z ${DAX_DEVICE:-} ]] || return 0
	[[ -e /run/odp/argv ]] || return 1
	[[ ! -c $pmem_device ]] || return 0
	modprobe --all nfit nd_pmem dax_pmem device_dax || return 1
	[[ -e $devices/namespace0.0 ]] || return 1
	echo namespace0.0 >"$drivers/nd_pmem/unbind" || return 1
	echo ram >"$devices/dax0.0/mode" || return 1
	echo 4096 >"$devices/dax0.0/align" || return 1
	cat /proc/sys/kernel/random/uuid >"$devices/dax0.0/uuid" || return 1
	echo namespace0.0 >"$devices/dax0.0/namespace" || return 1
	echo dax0.0 >"$drivers/dax_pmem/bind" || return 1
	odp_wait 10 test -c "$pmem_device"
}

odp_init
odp_plan 3

rxe_use rust
odp_ok "Rust, DRAM: FLUSH answers as for pinned memory, persistence is refused" \
	"$ODP_BIN/rxe_flush" dram
if pmem_find; then
	odp_ok "Rust, persistent memory: FLUSH answers as for pinned memory" \
		"$ODP_BIN/rxe_flush" pmem "$pmem_device"
else
	odp_skip "Rust, persistent memory" "there is no NVDIMM in the guest, nor DAX_DEVICE="
fi
rxe_use stock
odp_control "control, C: DRAM may be registered for persistence" \
	"$ODP_BIN/rxe_flush" dram

odp_finish
