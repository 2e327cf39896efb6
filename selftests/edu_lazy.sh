#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A page that was taken from the edu device is out of reach at once, not in some milliseconds.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/edu.sh
. "$ODP_HERE/lib/edu.sh"

edu_init iommu list
odp_plan 1
odp_log "mode $(edu_mode), IOMMU domain $(<"/sys/bus/pci/devices/$EDU_PCI/iommu_group/type")"
odp_ok "DMAs that end when the page is gone write nothing" "$ODP_BIN/edu_lazy"
odp_finish
