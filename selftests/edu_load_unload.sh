#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# edu_odp.ko comes and goes many times amid DMAs: not while a file is open, and then at once.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/edu.sh
. "$ODP_HERE/lib/edu.sh"
# shellcheck source=lib/slab.sh
. "$ODP_HERE/lib/slab.sh"

rounds=$(odp_rounds 30 200)
SLACK=$((20 + rounds / 4))	# objects; a leak is one for each round
DRIVER=/sys/bus/pci/drivers/$EDU_NAME
refused=0 copies=0 wrong=0

# COPYs without end.
traffic_start() {
	"$ODP_BIN/edu_traffic" >"$odp_tmp/traffic" 2>&1 &
	traffic=$!
	odp_says "$odp_tmp/traffic" running 60
}

# Its last line says what it has seen.
traffic_stop() {
	local status=0 seen=0 bad=0

	kill -TERM "$traffic" 2>/dev/null || true
	wait "$traffic" || status=$?
	read -r seen bad < <(sed -n 's/ COPYs, \([0-9]*\) wrong/ \1/p' "$odp_tmp/traffic") ||
		status=2
	copies=$((copies + seen)) wrong=$((wrong + bad))
	[[ $status == 0 ]] || cat "$odp_tmp/traffic"
	return "$status"
}

# A module whose file is open stays, and says why.
stays_while_open() {
	if rmmod "$EDU_NAME" 2>"$odp_tmp/rmmod"; then
		echo "the module went while its file was open"
		return 1
	fi
	refused=$((refused + 1))
	grep -q "in use" "$odp_tmp/rmmod" || {
		cat "$odp_tmp/rmmod"
		return 1
	}
}

goes_at_once() {
	odp_wait "$EDU_WAIT" edu_rmmod || {
		echo "the module does not go: $(lsmod | grep "$EDU_NAME")"
		return 1
	}
}

# The files are closed, or killed amid a DMA, or their device goes first. A DMA takes
# 100 ms, a COPY four of them: each round ends it at another moment.
round() {
	edu_load && traffic_start && stays_while_open && sleep "2.$(($1 * 7 % 40 + 10))" ||
		return
	case $(($1 % 3)) in
	0)
		traffic_stop ;;
	1)
		kill -KILL "$traffic"
		wait "$traffic" 2>/dev/null || true
		! grep "is wrong" "$odp_tmp/traffic" ;;
	2)
		echo "$EDU_PCI" >"$DRIVER/unbind"
		odp_wait 60 grep -q gone "$odp_tmp/traffic" &&
			stays_while_open && traffic_stop ;;
	esac && goes_at_once
}

all_rounds() {
	odp_repeat "$1" round &&
		echo "$1 times loaded, used and removed; $refused times refused; $copies COPYs right"
}

edu_init iommu direct
odp_log "mode $(edu_mode)"
odp_plan 4

# One of each kind, so that what is made at the first use is there
odp_run all_rounds 3
edu_load
edu_usage_save
edu_slab_save
odp_ok "$rounds times loaded, used and removed" all_rounds "$rounds"
edu_load
odp_ok "slab objects are back" edu_slab_is_back "$SLACK"
odp_ok "IOVA and IOMMU page tables are back" edu_usage_is_back
odp_ok "DMA moves right bytes" "$ODP_BIN/edu_data" small 5
odp_figure "rounds" "$rounds"
odp_figure "removals refused" "$refused"
odp_figure "COPYs verified" "$copies"
odp_figure "wrong" "$wrong"
odp_finish
