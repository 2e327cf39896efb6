#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# All six functions: result for result as C where C is right, and right where it is not.
#
# Once for a device with virtual DMA (rxe) and once for one with real DMA.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"

abi_module=umem_odp_abi

abi_unload() {
	[[ ! -e /sys/module/$abi_module ]] || rmmod "$abi_module"
}

# abi_run OUTPUT ARGUMENT…: the client's lines, and it has to reach its end.
abi_run() {
	local output=$odp_tmp/$1

	shift
	"$ODP_BIN/umem_odp_abi" "$@" >"$output" || {
		odp_log "umem_odp_abi $*: exit status $?"
		echo "$output: failed" >>"$output"
	}
}

abi_same() {
	diff "$odp_tmp/same.c" "$odp_tmp/same.rust" && wc -l <"$odp_tmp/same.rust"
}

# Both fail alike: that is not the same.
abi_failures() {
	abi_run same.c no-such-mode
	abi_run same.rust no-such-mode
	! abi_same
}

abi_served() {
	[[ $(odp_delta umem_get) -gt 0 && $(odp_delta umem_alloc_implicit) -gt 0 &&
	   $(odp_delta umem_alloc_child) -gt 0 && $(odp_delta umem_release) -gt 0 &&
	   $(odp_delta faults) -gt 0 && $(odp_delta invalidations) -gt 0 ]] || {
		odp_deltas
		return 1
	}
}

# abi_line FILE "line": the implementation printed this line.
abi_line() {
	grep -xF -- "$2" "$odp_tmp/$1" || {
		cat "$odp_tmp/$1"
		return 1
	}
}

# better "what" "what Rust does" "what C does"
better() {
	odp_ok "$dma, $1: $2" abi_line better.rust "$1: $2"
	odp_ok "$dma, control, C, $1: $3" abi_line better.c "$1: $3"
}

# A region whose table C has filled goes over to Rust.
abi_leftovers() {
	local pid

	coproc leftovers {
		exec "$ODP_BIN/umem_odp_abi" leftovers >"$odp_tmp/leftovers"
	}
	pid=$!	# leftovers_PID is gone as soon as the client has ended
	odp_wait 10 grep -qs "what it left" "$odp_tmp/leftovers"
	odp_load
	echo loaded >&"${leftovers[1]}"
	wait "$pid"
	odp_ok "$dma, C left entries behind" abi_line leftovers \
		"what it left: wwwwwwww, npages 0"
	odp_ok "$dma, Rust does not dirty their pages" abi_line leftovers \
		"a page that an entry names is dirtied: 0"
}

# abi_compare DMA-KIND MODULE-PARAMETER…
abi_compare() {
	dma=$1
	shift
	odp_unload
	insmod "$ODP_BIN/$abi_module.ko" "$@"
	abi_run same.c same
	abi_run better.c better
	abi_leftovers
	odp_counters_save
	abi_run same.rust same
	abi_run better.rust better
	abi_run not-odp.rust not-odp
	abi_unload

	odp_ok "$dma, the same results under C and Rust" abi_same
	odp_ok "$dma, Rust served all six functions" abi_served
	odp_ok "$dma, a pinned umem is refused" abi_line not-odp.rust \
		"fault of a pinned umem: EINVAL"
	better "fault of a length that wraps" EINVAL 1
	better "table after the fault that failed" "--------, npages 0" \
		"wwwwwwww, npages 0"
	better "table of four huge pages" "wwww, npages $huge" \
		"w!!!, npages $huge"
	better "table after unmap of the second" "w-ww, npages $((huge * 3 / 4))" \
		"w-!!, npages $((huge * 3 / 4))"
	better "table after unmap of a part of the third" \
		"w--w, npages $((huge / 2))" "w--!, npages $((huge / 2))"
}

odp_needs+=("$ODP_BIN/$abi_module.ko")
odp_init
odp_plan 34
odp_at_exit abi_unload
odp_huge_pages 64

odp_ok "control: two failures are seen" abi_failures
# A driver counts in npages what it maps for DMA: nothing, where there is none.
huge=0
abi_compare "virtual DMA" netdev="$(odp_find_netdev)"
better "dirty when it was writable for the device" 1 0
huge=4
abi_compare "real DMA"
odp_ok "$dma, dirty when it was writable for the device: 1" abi_line better.rust \
	"dirty when it was writable for the device: 1"

odp_finish
