# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Swap devices for the tests, and the cases of swap_dirty_*.sh; after odp.sh.

SWAP_SIZE_MB=64

# One swap device, alone: swap_on zram|disk
swap_on() {
	swap_off_others
	odp_at_exit swap_off
	case $1 in
	zram)
		modprobe zram num_devices=1
		swap_zram=$(cat /sys/class/zram-control/hot_add)
		swap_dev=/dev/zram$swap_zram
		echo "${SWAP_SIZE_MB}M" >"/sys/block/zram$swap_zram/disksize" ;;
	disk)
		swap_dev=/var/tmp/swap_dirty.$$
		dd if=/dev/zero of="$swap_dev" bs=1M count="$SWAP_SIZE_MB" status=none
		chmod 600 "$swap_dev" ;;
	esac
	mkswap "$swap_dev" >/dev/null
	swapon "$swap_dev"
}

swap_off() {
	[[ -n ${swap_dev:-} ]] || return 0
	swapoff "$swap_dev"
	case $swap_dev in
	/dev/zram*)
		echo "$swap_zram" >/sys/class/zram-control/hot_remove ;;
	*)
		rm -f "$swap_dev" ;;
	esac
	swap_dev=
}

swap_off_others() {
	swap_others=$(swapon --show=NAME --noheadings)
	[[ -z $swap_others ]] && return 0
	odp_at_exit swap_on_others
	swapoff -a
}

swap_on_others() {
	local dev

	for dev in $swap_others; do
		swapon "$dev"
	done
}

# swap_dirty anon|memfd swapin|clean keep|release: the client, in a cgroup, so
# that only its memory is reclaimed.
swap_dirty() {
	# shellcheck disable=SC2154 # odp_group is set by odp_cgroup
	bash -c 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"' - "$odp_group" \
		"$ODP_BIN/swap_dirty" "$@" "$odp_group/memory.reclaim"
}
