#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Pages are mapped for the edu device as IOVA ranges, page by page, or not at all.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/edu.sh
. "$ODP_HERE/lib/edu.sh"

STEPS=${STEPS:-$(odp_fewer 60)}

# How mode list comes about is tested here, too
[[ $EDU_MODE != list ]] || EDU_MODE=iommu
edu_init iommu direct list
odp_log "mode $(edu_mode)"
if [[ $(edu_mode) == direct ]]; then
	odp_plan 1
	odp_ok "direct: each page is where it is in memory" \
		"$ODP_BIN/edu_modes" physical
	odp_finish
fi

odp_plan 6
odp_ok "iova: a window's pages are one range, in their order" \
	"$ODP_BIN/edu_modes" contiguous
odp_ok "dma_bits=32" edu_load dma_bits=32
odp_ok "all IOVA used up: an error, and no more" "$ODP_BIN/edu_modes" exhausted
odp_ok "IOVA for single pages is left" edu_use_list
odp_ok "list: 4 KiB pages" "$ODP_BIN/edu_data" small "$STEPS"
odp_ok "list: transparent huge pages" "$ODP_BIN/edu_data" thp "$STEPS"
odp_finish
