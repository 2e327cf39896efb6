#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Each counter of the module moves by what an action is documented to do.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/expect.sh
. "$ODP_HERE/lib/expect.sh"

PAGES=32

fails_once() {
	! odp_step "prefetch $((PAGES - 1)) 1 rw" && moved fault_errors=1
}

odp_init
odp_plan 13
odp_load
odp_steps_start

expect "register untouched memory: umem_get, nothing mapped" \
	"map $PAGES;reg" umem_get=1 umem_release=0 faults=0 page_faults=0 \
	page_prefetch=0
expect "prefetch for writing: faults, page_faults by the pages" \
	"prefetch 0 $PAGES rw" faults=1 page_faults=$PAGES page_prefetch=0 \
	fault_errors=0
expect "give pages back: page_invalidations and dirtied_pages by the pages" \
	"drop 0 8" invalidations=1+ page_invalidations=8 dirtied_pages=8
expect "give the same back again: no page is left to invalidate" \
	"drop 0 8" page_invalidations=0 dirtied_pages=0
expect "prefetch for reading: mapped, but never dirtied" \
	"prefetch 0 8 ro;drop 0 8" page_faults=8 page_invalidations=8 \
	dirtied_pages=0
expect "RDMA WRITE to absent pages: a fault for each" \
	"rdma 0 8 1" faults=8 page_faults=8
expect "RDMA WRITE to mapped pages: no fault" \
	"rdma 0 8 2" faults=0 page_faults=0
expect "written pages are dirtied when they are unmapped" \
	"drop 0 8" page_invalidations=8 dirtied_pages=8
expect "prefetch without faults, absent pages: nothing mapped" \
	"prefetch 0 8 nofault" faults=0 page_faults=0 page_prefetch=0
expect "prefetch without faults, present pages: page_prefetch" \
	"fill 3;prefetch 0 8 nofault" faults=0 page_faults=0 page_prefetch=8
expect "munmap: page_invalidations" \
	"unmap $((PAGES - 1)) 1" page_invalidations=1 dirtied_pages=1
odp_counters_save
odp_ok "a failed prefetch: fault_errors" fails_once
expect "deregister: umem_release, and all that was mapped is unmapped" \
	"dereg" umem_get=0 umem_release=1 \
	page_invalidations=$((PAGES - 1)) dirtied_pages=$((PAGES - 1))

odp_steps_stop
odp_finish
