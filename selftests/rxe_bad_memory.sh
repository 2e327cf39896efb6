#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Memory that a device must not reach gives an error of that work request, no more.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"
# shellcheck source=lib/cases.sh
. "$ODP_HERE/lib/cases.sh"

odp_init
rxe_use rust
cases_run rust "$ODP_BIN/rxe_bad_memory" secret
odp_plan $(($(cases_count rust) + 1))
cases_report rust

# Not run here: memfd_secret, over which stock wedges the machine
rxe_use stock
cases_run stock "$ODP_BIN/rxe_bad_memory"
odp_control "control, stock: read-only memory, RDMA READ" \
	cases_defect stock "read-only memory, RDMA READ"

odp_finish
