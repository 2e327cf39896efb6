#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# ibv_advise_mr: three advices, at once and in the background, errnos as mlx5's.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"
# shellcheck source=lib/cases.sh
. "$ODP_HERE/lib/cases.sh"

stock_defect() {
	odp_control "control, stock: $1" cases_defect stock "$1"
}

odp_init
rxe_use rust
cases_run rust "$ODP_BIN/rxe_advise_mr"
odp_plan $(($(cases_count rust) + 4))
cases_report rust

# Not run here: the key of a pinned region, which stock takes for an ODP region
rxe_use stock
cases_run stock "$ODP_BIN/rxe_advise_mr" stock
stock_defect "a region without write access, PREFETCH, at once"
stock_defect "a region of another protection domain, PREFETCH, at once"
stock_defect "an unknown key, PREFETCH, at once"
stock_defect "register 64 GiB"

odp_finish
