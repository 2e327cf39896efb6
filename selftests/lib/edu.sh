# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Tests of edu_odp.ko; after odp.sh, in whose place edu_init comes for odp_init.
#
#   edu_init MODE…                skips where there is no edu device or no module, and
#                                 in other modes than these
#   edu_load [dma_bits=N]         the module, freshly loaded, and its device file
#   edu_unload                    the module away
#   edu_mode                      iova, list or direct
#   edu_use_list                  no IOVA range can be had from now on (mode list)
#
# At the end the module is what it was found as. Sets EDU_PCI, the device's address.
# Environment: EDU_MODULE (edu_odp.ko beside the tests); EDU_MODE (iommu, direct or
# list, as /run/odp/edu says in a guest of qemu/run): with list, mode list is used.

EDU_MODULE=${EDU_MODULE:-$ODP_BIN/edu_odp.ko}
EDU_MODE=${EDU_MODE:-$(cat /run/odp/edu 2>/dev/null || echo iommu)}
EDU_DEVICE=/dev/edu_odp
EDU_NAME=edu_odp
EDU_WAIT=20	# seconds for a device file to come or go

edu_find() {
	local device

	for device in /sys/bus/pci/devices/*; do
		[[ $(<"$device/vendor") == 0x1234 && $(<"$device/device") == 0x11e8 ]] ||
			continue
		echo "${device##*/}"
		return
	done
	return 1
}

edu_init() {
	local pci

	odp_needs=("$EDU_MODULE")
	odp_begin
	pci=$(edu_find) || odp_skip_all "no edu device"
	export EDU_PCI=$pci
	[[ " $* " == *" $EDU_MODE "* ]] || odp_skip_all "mode $EDU_MODE"
	edu_found=no
	[[ ! -e /sys/module/$EDU_NAME ]] || edu_found=yes
	odp_at_exit edu_restore
	edu_load
}

edu_restore() {
	edu_unload
	[[ $edu_found == no ]] || edu_load
}

edu_load() {
	edu_unload && insmod "$EDU_MODULE" "$@" &&
		odp_wait "$EDU_WAIT" test -c "$EDU_DEVICE" || return
	[[ $EDU_MODE != list || $* == dma_bits=* ]] || edu_use_list
}

edu_unload() {
	edu_filler_stop
	[[ ! -e /sys/module/$EDU_NAME ]] || odp_wait "$EDU_WAIT" edu_rmmod
}

# The last file may be closed by a task that is still on its way out.
edu_rmmod() {
	rmmod "$EDU_NAME" 2>/dev/null || [[ ! -e /sys/module/$EDU_NAME ]]
}

edu_mode() {
	"$ODP_BIN/edu_modes" mode
}

# 32 bits of IOVA, which are used up but for single pages.
edu_use_list() {
	local answer

	edu_load dma_bits=32 || return
	coproc edu_filler { exec "$ODP_HERE/lib/fill_iova"; }
	edu_filler_pid=$!
	read -r -t 600 -u "${edu_filler[0]}" answer || answer=none
	[[ $answer == ready ]]
}

edu_filler_stop() {
	[[ -n ${edu_filler_pid:-} ]] || return 0
	kill "$edu_filler_pid"
	wait "$edu_filler_pid" || true
	edu_filler_pid=
}

# --- IOVA and page tables in use ---------------------------------------------
#
#   edu_usage_save                the baseline
#   edu_usage_is_back             whether it is reached again
#   edu_usage_grew_by LEAST MOST  whether each is as much above it
#   edu_slab_save, edu_slab_is_back SLACK    as slab.sh's, which has to be there, once
#                                 worker threads of the kernel that are idle have ended

EDU_SETTLE_S=400	# of guest time
EDU_USAGE_SLACK=60	# objects or pages
declare -A edu_usage_saved=() edu_usage_now=()

# Free objects in the slab's own caches count as used: fill those first. Objects of
# other caches, with which it may be merged, count too, and are few.
edu_usage_count() {
	local objects tables

	"$ODP_BIN/edu_leaks" hold 1000 </dev/null >/dev/null || return
	edu_usage_now=()
	if [[ -e /sys/kernel/slab/iommu_iova ]]; then
		echo 1 >/sys/kernel/slab/iommu_iova/shrink
		read -r objects _ </sys/kernel/slab/iommu_iova/objects
		edu_usage_now[iova]=$objects
	fi
	cat /proc/sys/vm/stat_refresh
	tables=$(awk '$1 == "nr_iommu_pages" { print $2 }' /proc/vmstat)
	[[ -z $tables ]] || edu_usage_now[iommu_pages]=$tables
}

edu_usage_save() {
	local name

	edu_usage_count
	for name in "${!edu_usage_now[@]}"; do
		edu_usage_saved[$name]=${edu_usage_now[$name]}
	done
}

# edu_usage_grown LEAST MOST: what each has grown by is in between.
edu_usage_grown() {
	local name growth status=0

	edu_usage_count || return
	for name in "${!edu_usage_now[@]}"; do
		growth=$((edu_usage_now[$name] - edu_usage_saved[$name]))
		echo "$name: ${edu_usage_saved[$name]} before, ${edu_usage_now[$name]} now"
		((growth >= $1 && growth <= $2)) || status=1
	done
	return "$status"
}

edu_slab_save() {
	sleep "$EDU_SETTLE_S"
	slab_save
}

edu_slab_is_back() {
	sleep "$EDU_SETTLE_S"
	slab_is_back "$1"
}

# What the caches keep for each processor comes and goes: a leak stays.
edu_usage_is_back() {
	for _ in 1 2 3; do
		edu_usage_grown -10000 "$EDU_USAGE_SLACK" && return
	done
	return 1
}

edu_usage_grew_by() {
	edu_usage_grown $(($1 - EDU_USAGE_SLACK)) $(($2 + EDU_USAGE_SLACK))
}
