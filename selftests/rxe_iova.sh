#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A region whose IOVA is not its address works as a pinned one does.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"

odp_init
odp_plan 4

rxe_use rust
odp_ok "Rust: transfers and atomics in range and out of it are as pinned" \
	"$ODP_BIN/rxe_iova" odp
odp_ok "Rust: right with an IOVA close to the address" "$ODP_BIN/rxe_iova" near
odp_ok "pinned, as the reference: all as the model says" \
	"$ODP_BIN/rxe_iova" pinned
# Other IOVAs lead C out of its table, into an oops
rxe_use stock
odp_control "control, C: wrong with an IOVA close to the address" \
	"$ODP_BIN/rxe_iova" near

odp_finish
