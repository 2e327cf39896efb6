# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# For tests that look for leaks; after odp.sh.
#
#   slab_save                     the baseline: objects in use, of the caches below
#   slab_is_back SLACK            waits until each is back, but for SLACK objects

# Kernels with random kmalloc caches have several of a size, which are added up.
declare -A slab_pattern=(
	[mm_struct]='^mm_struct$'
	[task_struct]='^task_struct$'
	[pid]='^pid$'
	[kmalloc-512]='^kmalloc-(rnd-[0-9]+-|cg-)?512$'
	[kmalloc-1k]='^kmalloc-(rnd-[0-9]+-|cg-)?1k$'
	[kmalloc-2k]='^kmalloc-(rnd-[0-9]+-|cg-)?2k$'
	[kmalloc-4k]='^kmalloc-(rnd-[0-9]+-|cg-)?4k$'
	[kmalloc-8k]='^kmalloc-(rnd-[0-9]+-|cg-)?8k$'
)
declare -A slab_saved=()

slab_objects() {
	awk -v pattern="$1" '$1 ~ pattern { n += $2 } END { print n + 0 }' \
		/proc/slabinfo
}

slab_shrink() {
	local cache

	for cache in /sys/kernel/slab/*/shrink; do
		echo 1 >"$cache" 2>/dev/null || true
	done
}

slab_save() {
	local cache

	slab_shrink
	for cache in "${!slab_pattern[@]}"; do
		slab_saved[$cache]=$(slab_objects "${slab_pattern[$cache]}")
	done
}

slab_at_baseline() {
	local cache

	slab_shrink
	for cache in "${!slab_pattern[@]}"; do
		(($(slab_objects "${slab_pattern[$cache]}") <=
			slab_saved[$cache] + $1)) || return 1
	done
}

# RCU and work queues free what is left.
slab_is_back() {
	local cache status=0

	odp_wait 30 slab_at_baseline "$1" || status=1
	for cache in "${!slab_pattern[@]}"; do
		echo "$cache: ${slab_saved[$cache]} before," \
			"$(slab_objects "${slab_pattern[$cache]}") after"
	done
	return "$status"
}
