#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A page that was taken from the edu device: a DMA to its IOVA faults in the IOMMU.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/edu.sh
. "$ODP_HERE/lib/edu.sh"
# shellcheck source=lib/cases.sh
. "$ODP_HERE/lib/cases.sh"
# shellcheck source=lib/swap.sh
. "$ODP_HERE/lib/swap.sh"

edu_init iommu direct list
odp_log "mode $(edu_mode)"
swap_on zram
cases_run revocation "$ODP_BIN/edu_revocation" swap
odp_plan "$(cases_count revocation)"
cases_report revocation
odp_finish
