#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A counter that somebody has open does not keep the module, nor outlive it as a crash.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"

is_gone() {
	! cat <&"$counter"
}

odp_init
odp_plan 2
odp_load
exec {counter}<"$ODP_COUNTERS/faults"

odp_ok "the module goes while a counter is open" odp_unload
odp_ok "the open counter cannot be read any more" is_gone
exec {counter}<&-

odp_finish
