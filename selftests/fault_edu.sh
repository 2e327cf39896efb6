#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# edu_odp.ko: each allocation of each call fails once, then it works, and nothing is left.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/edu.sh
. "$ODP_HERE/lib/edu.sh"
# shellcheck source=lib/slab.sh
. "$ODP_HERE/lib/slab.sh"
# shellcheck source=lib/fault.sh
. "$ODP_HERE/lib/fault.sh"

calls=(open register register-all deregister prefetch prefetch-write prefetch-no-fault
	read write copy invalidate close)
DRIVER=/sys/bus/pci/drivers/$EDU_NAME
MOST=5000	# steps of a sweep
SLACK=20	# objects; a leak is one for each fault of a sweep, in each round
rounds=$(odp_rounds 3 20)

warm_up() {
	local call

	for call in "${calls[@]}"; do
		fault_warm_up fault_edu "$call" || echo "warm-up: $call fails"
	done
}

sweep_rounds() {
	local round

	for ((round = 0; round < rounds; round++)); do
		fault_sweep fault_edu "$1" || return
	done
}

# Where the kernel says something else than ENOMEM: EINVAL without a folder for the
# module's drivers, EBUSY for the device's registers. Of /proc/irq, it does not remember
# what it could not make, and warns when that is to go.
spare_irq() {
	fault_not_within register_irq_proc
}

# A probe that fails is none of the loader's business: then there is no device file.
load() {
	edu_unload
	fault_call_nth "$1" load "$EDU_MODULE" || return
	case $fault_error in
	0) edu_unload && [[ ! -e $EDU_DEVICE ]] ;;
	ENOMEM | EINVAL) [[ $fault_injects == yes && ! -e /sys/module/$EDU_NAME ]] ;;
	*) return 1 ;;
	esac
}

bind() {
	[[ ! -e $DRIVER/$EDU_PCI ]] || echo "$EDU_PCI" >"$DRIVER/unbind"
	fault_call_nth "$1" write "$DRIVER/bind" "$EDU_PCI" || return
	case $fault_error in
	0) [[ -c $EDU_DEVICE ]] || may_lack_file ;;
	ENOMEM | EAGAIN | EBUSY) [[ $fault_injects == yes && ! -e $EDU_DEVICE ]] ;;
	*) return 1 ;;
	esac
}

# devtmpfs is told by a thread of its own, and what it cannot make is not there.
may_lack_file() {
	[[ $fault_injects == yes && -e /sys/class/misc/$EDU_NAME ]]
}

unbind() {
	[[ -e $DRIVER/$EDU_PCI ]] || echo "$EDU_PCI" >"$DRIVER/bind"
	fault_call_nth "$1" write "$DRIVER/unbind" "$EDU_PCI" || return
	case $fault_error in
	0) [[ ! -e $EDU_DEVICE && ! -e $DRIVER/$EDU_PCI ]] ;;
	ENOMEM) [[ $fault_injects == yes ]] ;;
	*) return 1 ;;
	esac
}

works() {
	edu_load && "$ODP_BIN/edu_data" small 5
}

edu_init iommu direct list
fault_begin
fault_need_filter
odp_log "mode $(edu_mode)"
odp_plan $((${#calls[@]} + 7))

odp_run warm_up
edu_usage_save
edu_slab_save
for call in "${calls[@]}"; do
	odp_ok "$call" sweep_rounds "$call"
done
odp_ok "nothing is charged any more" fault_nothing_left
odp_ok "IOVA and IOMMU page tables are back" edu_usage_is_back
odp_ok "slab objects are back" edu_slab_is_back "$SLACK"
odp_ok "the device is unbound" fault_steps "$MOST" 1 unbind
spare_irq
odp_ok "the device is bound" fault_steps "$MOST" 1 bind
fault_only_within do_init_module
odp_ok "the module is loaded" fault_steps "$MOST" 1 load
fault_everywhere
odp_ok "DMA moves right bytes after that" works
fault_figures
odp_finish
