#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Huge pages and pages of mixed sizes get the right bytes, in all of a region.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"

STEPS=${STEPS:-$(odp_fewer 120)}
HUGE_PAGES=24

huge_pages() {
	"$ODP_BIN/rxe_huge_pages" "$@"
}

odp_init
odp_plan 12
odp_huge_pages "$HUGE_PAGES"

rxe_use rust
odp_ok "Rust: huge pages, IBV_ACCESS_HUGETLB" huge_pages hugetlb odp "$STEPS"
odp_ok "Rust: the same, shared" huge_pages hugetlb-shared odp "$STEPS"
odp_ok "Rust: huge pages, without the flag" \
	huge_pages hugetlb-unasked odp "$STEPS"
odp_ok "Rust: transparent huge pages" huge_pages thp odp "$STEPS"
odp_ok "Rust: transparent huge pages that were split" \
	huge_pages split odp "$STEPS"
odp_ok "Rust: 4 KiB, huge and transparent huge pages side by side" \
	huge_pages mixed odp "$STEPS"
odp_ok "Rust: IBV_ACCESS_HUGETLB on 4 KiB pages is an error of the access" \
	huge_pages small
for memory in hugetlb thp mixed; do
	odp_ok "pinned, as the reference: $memory" \
		huge_pages "$memory" pinned $((STEPS / 2))
done
rxe_use stock
odp_control "control, C: IBV_ACCESS_HUGETLB is refused" \
	huge_pages hugetlb odp "$STEPS"
odp_control "control, C: wrong bytes on transparent huge pages" \
	huge_pages thp odp "$STEPS"

odp_finish
