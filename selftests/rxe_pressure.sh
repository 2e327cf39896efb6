#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Limits, OOM, migration, KSM, huge pages, hwpoison, CPU hotplug under RDMA: right data or an error.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"
# shellcheck source=lib/swap.sh
. "$ODP_HERE/lib/swap.sh"
# shellcheck source=lib/storm.sh
. "$ODP_HERE/lib/storm.sh"

ROUNDS=$(odp_rounds 1 6)	# owners of each case
MS=$(storm_ms 1500 5000)	# of each
PAGES=4096			# 16 MiB, where memory is limited
LIMIT=12M
BALANCING=/proc/sys/kernel/numa_balancing
CPU=cpu_write,cpu_read,prefetch
VMA=map,hole,move_in,move_away,dontneed,free,protect,advise,children

# --- what the kernel does by itself, in haste, until the test's end --------------------

haste=(/sys/kernel/mm/ksm/{pages_to_scan=5000,sleep_millisecs=2,run=1}
	/sys/kernel/mm/transparent_hugepage/khugepaged/{scan_sleep_millisecs=5,alloc_sleep_millisecs=5}
	/sys/kernel/mm/transparent_hugepage/khugepaged/pages_to_scan=8192)
declare -A haste_found=()

make_haste() {
	local setting file

	odp_at_exit end_haste
	for setting in "${haste[@]}"; do
		file=${setting%=*}
		[[ -e $file ]] || odp_skip_all "the kernel has no $file"
		haste_found[$file]=$(<"$file")
		echo "${setting##*=}" >"$file"
	done
}

end_haste() {
	local file

	echo 2 >/sys/kernel/mm/ksm/run
	for file in "${!haste_found[@]}"; do
		echo "${haste_found[$file]}" >"$file"
	done
}

cpus_back() {
	echo 1 >/sys/devices/system/cpu/cpu1/online
}

# --- the cases --------------------------------------------------------------------------

# pressure "what" ACTORS… : a storm of them
pressure() {
	local what=$1

	shift
	odp_ok "$what" storm "$ROUNDS" "$MS" "$@" effects
	storm_figures "$what"
}

# shellcheck disable=SC2154 # odp_group is set by odp_cgroup
limited() {
	local swapped status=0

	swapped=$(vmstat pswpout)
	echo "$LIMIT" >"$odp_group/memory.max"
	storm "$ROUNDS" "$MS" "populate,$CPU" everywhere "pages=$PAGES" "group=$odp_group" ||
		status=$?
	echo max >"$odp_group/memory.max"
	swapped=$(($(vmstat pswpout) - swapped))
	echo "count pages-swapped-out $swapped"
	((swapped > 0)) || status=2
	return "$status"
}

vmstat() {
	sed -n "s/^$1 //p" /proc/vmstat
}

limit_of() {
	swap_on "$1"
	odp_ok "a cgroup that is too small, swap on $1" limited
	storm_figures "limit, $1"
	swap_off
}

# kswapd is made to work long before there is no memory.
short_of_memory() {
	odp_huge_pages "$(</proc/sys/vm/nr_hugepages)"
	odp_at_exit watermark_back
	watermark_found=$(</proc/sys/vm/watermark_scale_factor)
	echo 3000 >/proc/sys/vm/watermark_scale_factor
	pressure "the machine is short of memory" "reserve,populate,$CPU" everywhere \
		"pages=$PAGES"
	watermark_back
	odp_huge_pages_restore
}

watermark_back() {
	echo "$watermark_found" >/proc/sys/vm/watermark_scale_factor
}

oom_kills() {
	sed -n 's/^oom_kill //p' "$odp_group/memory.events"
}

# There is no swap: who wants more than there is has to die.
out_of_memory() {
	local before status=0

	before=$(oom_kills)
	echo 48M >"$odp_group/memory.max"
	storm $((2 * ROUNDS)) "$MS" "$CPU,$VMA" end=oom "group=$odp_group" || status=$?
	echo max >"$odp_group/memory.max"
	echo "count OOM-kills $(($(oom_kills) - before))"
	(($(oom_kills) - before >= 2 * ROUNDS)) || status=2
	# Page tables and the like are freed a moment later
	odp_wait 10 memory_is_back || {
		echo "$(<"$odp_group/memory.current") bytes of the dead are in use"
		status=1
	}
	return "$status"
}

memory_is_back() {
	(($(<"$odp_group/memory.current") < 1 << 20))
}

# The kernel shows who called when a cgroup is out of memory.
forget_log() {
	odp_log_mark="selftest ${0##*/} $$ $RANDOM"
	echo "$odp_log_mark" >/dev/kmsg
}

# The kernel moves pages too, on its own account, where it can.
nodes() {
	if [[ ! -e /sys/devices/system/node/node1 ]]; then
		odp_skip "pages go from node to node" "the machine has one node"
		return
	fi
	if [[ -e $BALANCING ]]; then
		balancing_found=$(<"$BALANCING")
		odp_at_exit balancing_back
		echo 1 >"$BALANCING"
	fi
	pressure "pages go from node to node" "migrate,$CPU"
	balancing_back
}

balancing_back() {
	[[ ! -e $BALANCING ]] || echo "$balancing_found" >"$BALANCING"
}

hotplug() {
	if [[ -e /sys/devices/system/cpu/cpu1/online ]]; then
		odp_at_exit cpus_back
		pressure "a processor comes and goes" "unplug,$CPU,$VMA"
	else
		odp_skip "a processor comes and goes" "the machine has one"
	fi
}

odp_init
odp_plan 13
odp_cgroup
rxe_use rust

limit_of zram
limit_of disk
swap_on disk
short_of_memory
make_haste
pressure "compaction" "compact,$CPU"
nodes
pressure "KSM" "merge,dontneed,$CPU"
pressure "khugepaged, and huge pages are split" "huge,split,pageout,$CPU"
pressure "pages are taken out of use" "soft_offline,$CPU"
odp_ok "all of it, and a storm of system calls" storm "$ROUNDS" $((2 * MS)) \
	"compact,migrate,merge,huge,split,soft_offline,pageout,$CPU,$VMA"
storm_figures "all of it"
end_haste
hotplug
modprobe -q hwpoison-inject || odp_log "no hwpoison-inject: pages are poisoned by madvise only"
pressure "pages are poisoned" "poison,$CPU,dontneed,move_in" small
odp_ok "the kernel log is clean, before memory runs out" odp_log_clean
swap_off
odp_ok "owners are killed for want of memory" out_of_memory
storm_figures "OOM"
forget_log

odp_finish
