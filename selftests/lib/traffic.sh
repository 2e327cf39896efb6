# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Verified RDMA in the background: the client traffic; after odp.sh.
#
#   traffic_start [wrong]         returns when it runs; wrong: bytes will be
#   traffic_lives                 whether it still does
#   traffic_right                 ends it: whether it has seen no wrong byte
#   traffic_cut                   ends it when its device has gone: likewise
#   traffic_figures               what all of them have verified

traffic_pages=0 traffic_wrong=0 traffic_errors=0

traffic_start() {
	"$ODP_BIN/traffic" "$@" >"$odp_tmp/traffic" 2>&1 &
	traffic=$!
	odp_at_exit traffic_kill
	odp_says "$odp_tmp/traffic" running $((30 * ODP_SLOW))
}

traffic_kill() {
	kill -KILL "$traffic" 2>/dev/null
	wait "$traffic" 2>/dev/null
}

traffic_lives() {
	kill -0 "$traffic" 2>/dev/null || {
		cat "$odp_tmp/traffic"
		return 1
	}
}

traffic_right() {
	local status=0 pages wrong errors

	kill -TERM "$traffic"
	wait "$traffic" || status=$?
	cat "$odp_tmp/traffic"
	read -r pages wrong errors < <(sed -nE \
		's/.* steps, ([0-9]+) pages verified, ([0-9]+) wrong, ([0-9]+) errors,.*/\1 \2 \3/p' \
		"$odp_tmp/traffic") || return 2
	traffic_pages=$((traffic_pages + pages)) traffic_wrong=$((traffic_wrong + wrong))
	traffic_errors=$((traffic_errors + errors))
	return "$status"
}

traffic_cut() {
	kill -KILL "$traffic" 2>/dev/null || true
	wait "$traffic" 2>/dev/null || true
	! grep 'is wrong' "$odp_tmp/traffic" || {
		traffic_wrong=$((traffic_wrong + 1))
		return 1
	}
}

traffic_figures() {
	odp_figure "pages verified" "$traffic_pages"
	odp_figure "operations tried again" "$traffic_errors"
	odp_figure "wrong" "$traffic_wrong"
}
