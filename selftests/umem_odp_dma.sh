#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The six functions for a device with real DMA, QEMU's edu: what it can reach, and what not.
#
# All that C does right is compared with it step by step, with what the device reads
# and writes and what the IOMMU lets through; then what C does wrong; then regions
# that live on while the module comes and goes; and leaks.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/edu.sh
. "$ODP_HERE/lib/edu.sh"
# shellcheck source=lib/slab.sh
. "$ODP_HERE/lib/slab.sh"

dma_module=umem_odp_dma
dma_sections=("registration" "faults" "upgrade to writing" "dirty pages"
	"two regions on the same memory" "exit of the owner" "implicit" "data"
	"munmap, 4 KiB pages" "MADV_DONTNEED, 4 KiB pages" "mprotect, 4 KiB pages"
	"mremap, 4 KiB pages" "munmap, 2 MiB pages" "MADV_DONTNEED, 2 MiB pages"
	"mprotect, 2 MiB pages")
# What no step may print, be it the same under C and Rust.
dma_bad='exit status|wrong data| [1-9][0-9]* wrong|READ|WROTE|IOMMU: .*0|(pages|device|IOMMU) [^ ]*!'

# --- the device ----------------------------------------------------------------

# dma_load MODULE-PARAMETER…: our driver instead of the device's own.
dma_load() {
	dma_unload
	insmod "$ODP_BIN/$dma_module.ko" "$@"
	odp_wait 5 test -c "/dev/$dma_module"
}

dma_unload() {
	[[ ! -e /sys/module/$dma_module ]] || rmmod "$dma_module"
}

dma_take() {
	dma_driver=
	[[ ! -e $dma_device/driver ]] || {
		dma_driver=$(basename "$(realpath "$dma_device/driver")")
		echo "$EDU_PCI" >"$dma_device/driver/unbind"
	}
	echo "$dma_module" >"$dma_device/driver_override"
	odp_at_exit dma_give_back
}

dma_give_back() {
	dma_unload
	echo >"$dma_device/driver_override"
	[[ -z $dma_driver ]] || echo "$EDU_PCI" >/sys/bus/pci/drivers_probe
}

# Memory of another PCI device, if there is any.
dma_find_p2pdma() {
	local file

	modprobe --quiet nvme || :
	odp_wait 2 compgen -G '/sys/bus/pci/devices/*/p2pmem/allocate' >/dev/null || :
	for file in /sys/bus/pci/devices/*/p2pmem/allocate; do
		[[ ! -e $file ]] || echo "$file"
	done | head -n 1
}

# --- the clients ---------------------------------------------------------------

# dma_run OUTPUT CLIENT ARGUMENT…: the client's lines, and it has to reach its end.
dma_run() {
	local output=$odp_tmp/$1 status=0

	shift
	"$ODP_BIN/$1" "${@:2}" >"$output" 2>&1 </dev/null || status=$?
	[[ $status == 0 ]] || echo "$*: exit status $status" >>"$output"
	return "$status"
}

# All that is the same, under one of the two.
dma_run_all() {
	local under=$1

	dma_load
	dma_run "same.$under" umem_odp_dma same || :
	[[ -z $p2pdma ]] || dma_run "p2pdma.$under" umem_odp_dma p2pdma "$p2pdma" || :
	dma_run "better.$under" umem_odp_dma_better better || :
	dma_load dma_bits=32
	dma_run "list.$under" umem_odp_dma list || :
	dma_load dma_bits=28
	dma_run "refused.$under" umem_odp_dma refused || :
	dma_load
}

# dma_section NAME <FILE: the lines of that section.
dma_section() {
	awk -v name="-- $1" '/^-- / { on = $0 == name } on'
}

dma_same_section() {
	local part under

	for under in c rust; do
		dma_section "$1" <"$odp_tmp/same.$under" >"$odp_tmp/section.$under"
	done
	diff "$odp_tmp/section.c" "$odp_tmp/section.rust" || return
	part=$(<"$odp_tmp/section.rust")
	# A heading is not yet a result.
	[[ $(wc -l <<<"$part") -gt 1 ]] || return
	! grep -E "$dma_bad" <<<"$part" && echo "$(($(wc -l <<<"$part") - 1)) lines"
}

# dma_same NAME: a whole output is the same, has results, and nothing bad.
dma_same() {
	diff "$odp_tmp/$1.c" "$odp_tmp/$1.rust" && [[ -s $odp_tmp/$1.rust ]] &&
		! grep -E "$dma_bad" "$odp_tmp/$1.rust" && cat "$odp_tmp/$1.rust"
}

# dma_line FILE "line": the client printed this line.
dma_line() {
	grep -xF -- "$2" "$odp_tmp/$1" || {
		cat "$odp_tmp/$1"
		return 1
	}
}

# dma_better "what" "what Rust does" "what C does"
dma_better() {
	odp_ok "$1: $2" dma_line better.rust "$1: $2"
	odp_ok "control, C, $1: $3" dma_line better.c "$1: $3"
}

dma_served() {
	[[ $(odp_delta umem_get) -gt 0 && $(odp_delta umem_alloc_implicit) -gt 0 &&
	   $(odp_delta umem_alloc_child) -gt 0 && $(odp_delta umem_release) -gt 0 &&
	   $(odp_delta faults) -gt 0 && $(odp_delta invalidations) -gt 0 ]] || {
		odp_deltas
		return 1
	}
}

# --- regions that live on --------------------------------------------------------

# dma_changes OUTPUT COMMAND COMMAND…: each of the commands at one change.
dma_changes() {
	local output=$odp_tmp/$1 client=$2 change n=0 pid

	shift 2
	coproc changes {
		exec "$ODP_BIN/umem_odp_dma_across" "$client" >"$output" 2>&1
	}
	pid=$!	# changes_PID is gone as soon as the client has ended
	for change; do
		n=$((n + 1))
		odp_wait 60 dma_is_at_change "$output" "$n" || break
		"$change"
		echo "changed" >&"${changes[1]}"
	done
	wait "$pid" || echo "exit status $?" >>"$output"
}

dma_is_at_change() {
	[[ $(grep -cx -- "-- change" "$1") -ge $2 ]]
}

# dma_as_before OUTPUT: as if nothing had changed.
dma_as_before() {
	diff "$odp_tmp/across.c" "$odp_tmp/$1" && ! grep -E "$dma_bad" "$odp_tmp/$1" &&
		wc -l <"$odp_tmp/$1"
}

dma_live_on() {
	odp_unload
	dma_changes across.c across true true
	dma_changes across.crc across odp_load odp_unload
	dma_changes leftovers.c leftovers true
	dma_changes leftovers.cr leftovers odp_load
	dma_changes across.rcr across odp_unload odp_load
	odp_ok "regions live on from C to Rust, and back" dma_as_before across.crc
	odp_ok "regions live on from Rust to C, and back" dma_as_before across.rcr
	odp_ok "Rust does not map what C's failed fault left" dma_line leftovers.cr \
		"leftovers, neighbour mapped: entries W-------, pages =-------, device w-------, npages 1"
	odp_ok "control, C maps what its failed fault left" dma_line leftovers.c \
		"leftovers, neighbour mapped: entries WWWWWWWW, pages =!!!====, device wwwwwwww, npages 8"
}

# --- leaks -----------------------------------------------------------------------

# Objects of the slab cache that has the ranges of IOVA, and pages of IOMMU tables.
dma_usage() {
	echo "$(cut -d' ' -f1 /sys/kernel/slab/iommu_iova/objects)" \
		"$(awk '$1 == "nr_iommu_pages" { print $2 }' /proc/vmstat)"
}

dma_usage_is_back() {
	local iova pages

	slab_shrink
	read -r iova pages < <(dma_usage)
	((iova <= dma_iova + 200 && pages <= dma_pages + 16))
}

# 1000 cycles, after some that fill the caches.
dma_leaks() {
	local status=0

	CYCLES=200 dma_run warm-up umem_odp_dma_across cycles
	slab_save
	read -r dma_iova dma_pages < <(dma_usage)
	CYCLES=1000 dma_run cycles umem_odp_dma_across cycles && cat "$odp_tmp/cycles"
	dma_line cycles "1000 cycles, 6000 faults right" || status=1
	slab_is_back 200 || status=1
	odp_wait 10 dma_usage_is_back || status=1
	echo "iommu_iova and its like, pages of IOMMU tables: $dma_iova $dma_pages before," \
		"$(dma_usage) after"
	return "$status"
}

# --- what C does wrong -------------------------------------------------------------

# dma_better_table "what" "columns and npages, Rust" "IOMMU, Rust" "the same of C"…
dma_better_table() {
	dma_better "$1" "$2" "$4"
	[[ $mode == direct ]] || dma_better "$1" "IOMMU $3" "IOMMU $5"
}

# A region of huge pages has a table in units of PAGE_SIZE, used in units of 2 MiB.
dma_better_huge() {
	dma_better_table "huge, one fault" \
		"entries -W--, pages -=--, device -w--, npages 1" "-=--" \
		"entries ----, pages ----, device ----, npages 0" "----"
	dma_better_table "huge, two faults" \
		"entries WW--, pages ==--, device ww--, npages 3" "==--" \
		"entries WWWW, pages =!!!, device wwww, npages 4" "===="
	dma_better "device reads in the second huge page" "right data" "wrong data"
	dma_better "huge, all faults" \
		"entries WWWW, pages ====, device wwww, npages 7" \
		"entries WWWW, pages =!!!, device wwww, npages 8"
	dma_better "huge, third unmapped" \
		"entries WW-W, pages ==-=, device ----, npages 6" \
		"entries WW-W, pages =!-!, device ----, npages 7"
	dma_better "device reads in the third huge page" "right data" "wrong data"
	dma_better "device writes in the fourth huge page" "right data" "wrong data"
}

# What a driver has not mapped stays, and is mapped when the page is somebody else's.
dma_better_stale() {
	dma_better "stale, fault failed" \
		"entries --------, pages --------, device --------, npages 0" \
		"entries wwwwwwww, pages ========, device --------, npages 0"
	dma_better_table "stale, neighbour mapped" \
		"entries W-------, pages =-------, device w-------, npages 1" "=-------" \
		"entries WWWWWWWW, pages =!!!====, device wwwwwwww, npages 8" "========"
	dma_better "device reads a page that was given back" EFAULT "wrong data"
	dma_better "driver failed, neighbour mapped" \
		"entries W-------, pages =-------, device w-------, npages 1" \
		"entries WWWWWWWW, pages =!!!====, device wwwwwwww, npages 8"
	dma_better "device reads a page that the driver failed to map" EFAULT "wrong data"
}

# --- the test --------------------------------------------------------------------

# dma_none_wrong CASE: 1 if the client counted something wrong.
dma_none_wrong() {
	dma_run "$1" umem_odp_dma_better "$1" || return 2
	cat "$odp_tmp/$1"
	grep -q ': 0 wrong$' "$odp_tmp/$1"
}

# Walks that write the live table bring it and the IOMMU apart. Pages that are mapped
# one by one are out of reach some milliseconds after they were unmapped.
dma_controls() {
	odp_control "control, C, under load" dma_none_wrong storm
	dma_load dma_bits=32
	if [[ $(<"$dma_device/iommu_group/type") == DMA-FQ ]]; then
		odp_control "control, C, late writes" dma_none_wrong late
	else
		odp_skip "control, C, late writes" "this kernel unmaps strictly"
	fi
	dma_load
}

dma_not_as_c() {
	odp_ok "table and IOMMU agree under load" dma_none_wrong storm
	dma_load dma_bits=32
	odp_ok "no late writes" dma_none_wrong late
	dma_load
}

dma_results() {
	local section

	odp_ok "pages are mapped as the machine has it: $mode" dma_line same.rust "mode: $mode"
	for section in "${dma_sections[@]}"; do
		odp_ok "the same under C and Rust: $section" dma_same_section "$section"
	done
	odp_ok "the same under C and Rust: 8 GiB, 32 bits of address" dma_same list
	[[ $mode == direct ]] ||
		odp_ok "8 GiB, 32 bits of address: a list" dma_line list.rust "mode: list"
	odp_ok "the same under C and Rust: 28 bits of address" dma_same refused
	odp_ok "28 bits of address are refused" dma_line refused.rust "explicit: EOPNOTSUPP"
	if [[ -n $p2pdma ]]; then
		odp_ok "the same under C and Rust: P2PDMA memory" dma_same p2pdma
	else
		odp_skip "the same under C and Rust: P2PDMA memory" "no PCI device has any"
	fi
	dma_better_huge
	dma_better_stale
	# What C takes for written was mapped for reading only.
	dma_better "dirty after a read-only region" 0 1
	dma_better "fault of a length that wraps" EINVAL 1
}

odp_needs+=("$ODP_BIN/$dma_module.ko")
odp_init
EDU_PCI=$(edu_find) || odp_skip_all "no edu device"
dma_device=/sys/bus/pci/devices/$EDU_PCI
mode=direct results=55
[[ ! -e $dma_device/iommu_group ]] || mode=iova results=66
odp_plan "$results"
odp_huge_pages 32
dma_take
p2pdma=$(dma_find_p2pdma)

odp_unload
dma_run_all c
odp_ok "no leak in 1000 cycles under C" dma_leaks
[[ $mode == direct ]] || dma_controls
dma_live_on
odp_load
odp_counters_save
dma_run_all rust
odp_ok "no leak in 1000 cycles under Rust" dma_leaks
[[ $mode == direct ]] || dma_not_as_c
odp_ok "Rust served all six functions" dma_served
dma_results
odp_finish
