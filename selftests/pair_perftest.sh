#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# perftest with --odp between two machines: all of it runs to its end.
# shellcheck source=lib/odp.sh
. "$(dirname "$0")/lib/odp.sh"
# shellcheck source=lib/rxe.sh
. "$ODP_HERE/lib/rxe.sh"
# shellcheck source=lib/swap.sh
. "$ODP_HERE/lib/swap.sh"
# shellcheck source=lib/pair.sh
. "$ODP_HERE/lib/pair.sh"

LIMIT=$((120 * ODP_SLOW))

PORT=18515	# of perftest

# perftest PROGRAM OPTION…: on both machines.
perftest() {
	local status=0 status_there=0 server

	pair_there timeout "$LIMIT" "$@" >"$odp_tmp/server" 2>&1 &
	server=$!
	{
		pair_there pair_listens "$PORT" && timeout "$LIMIT" "$@" "$ODP_PEER"
	} >"$odp_tmp/result" 2>&1 || status=$?
	[[ $status == 0 ]] || pair_there pkill -KILL -x "$1" || true
	wait "$server" || status_there=$?
	if ((status || status_there)); then
		cat "$odp_tmp/result" "$odp_tmp/server"
		return 1
	fi
	grep -E '^ *(#bytes|[0-9]+ +[0-9]+ )' "$odp_tmp/result"
}

# The average bandwidth, or the typical latency, of the last run.
result() {
	awk -v column="$1" '/^ *[0-9]+ +[0-9]+ / { value = $column } END { print value + 0 }' "$odp_tmp/result"
}

# ratio A B: in percent
ratio() {
	awk -v a="$1" -v b="$2" 'BEGIN { printf "%d\n", b ? 100 * a / b : 0 }'
}

command -v ib_write_bw >/dev/null || missing=perftest
pair_init
[[ -z ${missing:-} ]] || odp_skip_all "perftest is not installed"
odp_plan 8
count=$(odp_rounds 100 5000)
common=(-d "$ODP_DEV" -F)
bw=("${common[@]}" -s 65536 -n "$count")
lat=("${common[@]}" -s 4096 -n "$((count * 2))")

pair_both rxe_use rust
odp_ok "ib_write_bw" perftest ib_write_bw "${bw[@]}"
pinned=$(result 4)
odp_ok "ib_write_bw --odp" perftest ib_write_bw "${bw[@]}" --odp
odp=$(result 4)
odp_ok "ib_read_lat" perftest ib_read_lat "${lat[@]}"
pinned_latency=$(result 6)
odp_ok "ib_read_lat --odp" perftest ib_read_lat "${lat[@]}" --odp
odp_latency=$(result 6)
odp_ok "ib_send_bw --odp" perftest ib_send_bw "${bw[@]}" --odp
odp_ok "ib_atomic_lat --odp" perftest ib_atomic_lat "${common[@]}" -n "$((count * 2))" --odp
odp_figure "ib_write_bw: ODP of pinned" "$(ratio "$odp" "$pinned")" %
odp_figure "ib_read_lat: ODP of pinned" "$(ratio "$odp_latency" "$pinned_latency")" %
pair_both rxe_use stock
odp_ok "stock: ib_write_bw --odp" perftest ib_write_bw "${bw[@]}" --odp
odp_ok "stock: ib_atomic_lat --odp" perftest ib_atomic_lat "${common[@]}" -n 100 --odp

odp_finish
