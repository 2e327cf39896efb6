#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Bad requests and bad memory give the errno that edu_odp.h says, and no more.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/edu.sh
. "$ODP_HERE/lib/edu.sh"
# shellcheck source=lib/cases.sh
. "$ODP_HERE/lib/cases.sh"

# The edu device's own mask: no page of unpinned memory is sure to be within reach.
refused_with_28_bits() {
	local answer

	edu_load dma_bits=28 || return
	answer=$("$ODP_BIN/edu_errors" register)
	echo "$answer"
	[[ $answer == EOPNOTSUPP ]]
}

# Memory of another PCI device, which edu cannot reach where the IOMMU translates for it.
load_peer() {
	modprobe --quiet nvme || :
	odp_wait 5 compgen -G '/sys/bus/pci/devices/*/p2pmem/allocate' >/dev/null || :
}

edu_init iommu direct list
odp_log "mode $(edu_mode)"
[[ $EDU_MODE != iommu ]] || load_peer
cases_run requests "$ODP_BIN/edu_errors" requests
cases_run many "$ODP_BIN/edu_errors" many
cases_run memory "$ODP_BIN/edu_bad_memory"
odp_plan $(($(cases_count requests) + $(cases_count many) + $(cases_count memory) + 1))
cases_report requests
cases_report many
cases_report memory
odp_ok "REGISTER with a DMA mask of 28 bits" refused_with_28_bits
odp_finish
