#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The edu device is removed, or its driver unbound, amid DMAs: ENODEV, and no leak.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/edu.sh
. "$ODP_HERE/lib/edu.sh"
# shellcheck source=lib/slab.sh
. "$ODP_HERE/lib/slab.sh"

ROUNDS=$(odp_rounds 8 100)	# of each way
SLACK=40	# objects; a leak is one for each of a round's ranges
DEVICES=/sys/bus/pci/devices
DRIVER=/sys/bus/pci/drivers/edu_odp

works() {
	odp_wait "$EDU_WAIT" test -c "$EDU_DEVICE" &&
		"$ODP_BIN/edu_data" small 3 quick
}

removed() {
	"$ODP_BIN/edu_unplug" "$DEVICES/$EDU_PCI/remove" 1 || return
	[[ ! -e $EDU_DEVICE && ! -e $DEVICES/$EDU_PCI ]] || {
		echo "the device is still there"
		return 1
	}
	echo 1 >/sys/bus/pci/rescan
	works
}

unbound() {
	"$ODP_BIN/edu_unplug" "$DRIVER/unbind" "$EDU_PCI" || return
	[[ ! -e $EDU_DEVICE && -e $DEVICES/$EDU_PCI ]] || {
		echo "the device file is still there, or the device is not"
		return 1
	}
	echo "$EDU_PCI" >"$DRIVER/bind"
	works
}

# With the device away, then back.
module_comes_and_goes() {
	echo 1 >"$DEVICES/$EDU_PCI/remove" && edu_unload &&
		echo 1 >/sys/bus/pci/rescan && edu_load && works
}

edu_init iommu direct
odp_log "mode $(edu_mode)"
odp_plan 7

# What takes it away must be there at the end, whatever failed
unplug_restore() {
	[[ -e $DEVICES/$EDU_PCI ]] || echo 1 >/sys/bus/pci/rescan
}
odp_at_exit unplug_restore

removed >/dev/null
unbound >/dev/null
edu_usage_save
edu_slab_save
odp_ok "removed $ROUNDS times amid DMAs" odp_repeat "$ROUNDS" removed
odp_ok "unbound $ROUNDS times amid DMAs" odp_repeat "$ROUNDS" unbound
odp_ok "slab objects are back" edu_slab_is_back "$SLACK"
odp_ok "IOVA and IOMMU page tables are back" edu_usage_is_back
odp_ok "the module goes and comes without the device" module_comes_and_goes
odp_ok "the module goes with the device there" edu_unload
odp_ok "and all works again" edu_load
odp_finish
