# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Shared by the tests. A test looks like this:
#
#   . "$(dirname "$0")/lib/odp.sh"
#   odp_init                      header, root and device checks, clean-up at exit
#   odp_plan 2                    two lines of its own; odp_finish adds one
#   odp_load                      the module on (odp_unload: off)
#   odp_ok "description" command…             ok if the command succeeds
#   odp_control "description" command…        ok if a client sees its defect
#   odp_finish                    "the kernel log is clean", totals, exit status
#
# Environment: ODP_DEV (rxe0), ODP_MODULE (rust_umem_odp.ko beside the tests),
# SEED, ROUNDS, ODP_SOAK (1: many rounds), ODP_SLOW (1; how many times as slow as
# Debian's kernel this one is).

set -euo pipefail

ODP_HERE=$(cd "$(dirname "$0")" && pwd -P)
ODP_BIN=${ODP_BIN:-$ODP_HERE}
ODP_MODULE=${ODP_MODULE:-$ODP_BIN/rust_umem_odp.ko}
ODP_NAME=rust_umem_odp
ODP_PATCH=/sys/kernel/livepatch/$ODP_NAME
ODP_COUNTERS=/sys/kernel/debug/$ODP_NAME
ODP_SLOW=${ODP_SLOW:-1}
ODP_WAIT=$((120 * ODP_SLOW))	# seconds that a livepatch transition may take
ODP_LOG_BAD='WARNING:|BUG:|BUG |Oops|INFO: task|blocked for more than|general protection|KASAN|UBSAN|Bad page|refcount_t|soft lockup|hard LOCKUP|stall|panic|Call Trace'
export ODP_DEV=${ODP_DEV:-rxe0}
odp_needs=("$ODP_MODULE")	# modules without which the test is skipped

# shellcheck source=/dev/null
. "${KSFT:-$ODP_HERE/..}/kselftest/ktap_helpers.sh"

odp_log() {
	echo "# $*"
}

# --- start and end ---------------------------------------------------------

# Ends the test as skipped, with the reason.
odp_skip_all() {
	ktap_skip_all "$*"
	exit "$KSFT_SKIP"
}

odp_init() {
	odp_begin
	[[ -e /sys/class/infiniband/$ODP_DEV ]] ||
		odp_skip_all "no RDMA device $ODP_DEV"
}

# All of it that does not depend on the device under test.
odp_begin() {
	local file

	ktap_print_header
	[[ $(id -u) == 0 ]] || odp_skip_all "must be run as root"
	for file in "${odp_needs[@]}"; do
		[[ -e $file ]] || odp_skip_all "no module $file"
	done
	mountpoint -q /sys/kernel/debug ||
		mount -t debugfs debugfs /sys/kernel/debug
	odp_tmp=$(mktemp -d)
	odp_found=no
	if odp_loaded; then
		odp_found=yes
	fi
	odp_cleanups=()
	trap odp_exit EXIT
	odp_log_mark="selftest ${0##*/} $$ $RANDOM"
	echo "$odp_log_mark" >/dev/kmsg
}

# A function to be called at exit, the last one first.
odp_at_exit() {
	odp_cleanups=("$1" "${odp_cleanups[@]}")
}

# Undoes all, and leaves the module as it was found.
odp_exit() {
	local status=$? cleanup

	trap - EXIT
	set +e
	for cleanup in "${odp_cleanups[@]}"; do
		"$cleanup"
	done
	if [[ $odp_found == yes ]]; then
		odp_load
	else
		odp_unload
	fi
	rm -rf "$odp_tmp"
	# kselftest's runner would take the status 2 of a command for an expected failure
	[[ $status == 0 || $status == "$KSFT_SKIP" ]] || status=$KSFT_FAIL
	exit "$status"
}

# The number of a test's own lines; the check of the kernel log is one more.
odp_plan() {
	ktap_set_plan $(($1 + 1))
}

# Warnings and worse that the kernel logged since odp_init; but for data races, of which
# the kernel lives with many: those are looked at by who boots such a kernel.
odp_log_bad() {
	# A log that has wrapped since lacks the mark: look at all of it
	dmesg | awk -v mark="$odp_log_mark" '
		index($0, mark) { n = 0; next }
		{ line[n++] = $0 }
		END { for (i = 0; i < n; i++) print line[i] }' |
		odp_log_without_expected | grep -v "BUG: KCSAN: " | grep -E "$ODP_LOG_BAD" || true
}

# For tests that make the kernel log what it should, to put their own in its place.
odp_log_without_expected() {
	cat
}

odp_log_clean() {
	local bad

	bad=$(odp_log_bad)
	[[ -z $bad ]] && return 0
	echo "$bad"
	return 1
}

odp_finish() {
	odp_ok "the kernel log is clean" odp_log_clean
	ktap_finished
}

# --- results ---------------------------------------------------------------

# odp_ok DESCRIPTION COMMAND…: ok if the command succeeds; its output is shown.
odp_ok() {
	local what=$1 status=0

	shift
	odp_run "$@" || status=$?
	if [[ $status == 0 ]]; then
		ktap_test_pass "$what"
	else
		odp_log "exit status $status of: $*"
		ktap_test_fail "$what"
	fi
}

# odp_control DESCRIPTION CLIENT…: the same client where the defect is known to
# be. It has to see it (exit status 1), or the test proves nothing.
odp_control() {
	local what=$1 status=0

	shift
	odp_run "$@" || status=$?
	case $status in
	1)
		ktap_test_pass "$what" ;;
	0)
		odp_log "the control saw no defect: this test cannot fail"
		ktap_test_fail "$what" ;;
	*)
		odp_log "exit status $status of: $*"
		ktap_test_fail "$what" ;;
	esac
}

# odp_control_freed DESCRIPTION CLIENT…: the same where C uses pages that were freed. Not
# on a slow kernel: KASAN would report it, and lockdep end with that; and C fails faults
# that take a second.
odp_control_freed() {
	if ((ODP_SLOW > 1)); then
		: >"$odp_tmp/output"
		ktap_test_skip "$1: this kernel is slow"
	else
		odp_control "$@"
	fi
}

# odp_fewer NUMBER: less of it on a slow kernel, so that it takes as long.
odp_fewer() {
	echo $((($1 + ODP_SLOW - 1) / ODP_SLOW))
}

# odp_rounds SHORT LONG: how many rounds a test makes, where ROUNDS does not say.
odp_rounds() {
	if [[ ${ODP_SOAK:-0} == 1 ]]; then
		echo "${ROUNDS:-$2}"
	else
		echo "${ROUNDS:-$(odp_fewer "$1")}"
	fi
}

# odp_repeat TIMES COMMAND…: with the number of the round behind it, from 0 on.
odp_repeat() {
	local number

	for ((number = 0; number < $1; number++)); do
		"${@:2}" "$number" || {
			echo "round $number failed"
			return 1
		}
	done
}

# odp_figure WHAT NUMBER [UNIT]: for the table of figures, which those who run the
# tests make of such lines.
odp_figure() {
	local test=${0##*/}

	odp_log "figure: ${test%.sh}: $1: $2${3:+ $3}"
}

odp_skip() {
	__ktap_test ok "$1" "SKIP $2"
	KTAP_CNT_SKIP=$((KTAP_CNT_SKIP + 1))
}

# Runs a command with its output as comments, and keeps its exit status. Not in
# a pipe: a function that is run may set variables.
odp_run() {
	local status=0

	"$@" >"$odp_tmp/output" 2>&1 || status=$?
	sed 's/^/# /' "$odp_tmp/output"
	return "$status"
}

# Waits until a command succeeds, or for that many seconds.
odp_wait() {
	local seconds=$1 i

	shift
	for ((i = 0; i < seconds * 20; i++)); do
		"$@" && return 0
		sleep 0.05
	done
	return 1
}

# odp_says FILE TEXT SECONDS: waits until a client's output has the text, else shows it.
odp_says() {
	odp_wait "$3" grep -q "$2" "$1" || {
		cat "$1"
		return 1
	}
}

# odp_within SECONDS COMMAND…: whether it succeeds, and in time. Who does not end by then,
# and may be unkillable, is left behind.
odp_within() {
	local limit=$1 start=$EPOCHREALTIME pid

	shift
	"$@" &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		odp_before "$start" "$limit" || {
			echo "not ended after $limit s: $*"
			return 1
		}
		sleep 0.02
	done
	wait "$pid"
}

# odp_before START SECONDS: whether fewer have passed since.
odp_before() {
	((${EPOCHREALTIME/[.,]/} < ${1/[.,]/} + $2 * 1000000))
}

# --- the module ------------------------------------------------------------

odp_loaded() {
	[[ -e /sys/module/$ODP_NAME ]]
}

odp_patched() {
	[[ -e $ODP_PATCH/transition && $(<"$ODP_PATCH/transition") == 0 &&
	   $(<"$ODP_PATCH/enabled") == 1 ]]
}

odp_patch_gone() {
	[[ ! -e $ODP_PATCH ]]
}

# Module on: the six functions are served by Rust when this returns.
odp_load() {
	odp_loaded || insmod "$ODP_MODULE" || return
	odp_wait "$ODP_WAIT" odp_patched || {
		odp_log "the livepatch does not take effect"
		return 1
	}
}

# Module off and removed: the six functions are served by C again.
odp_unload() {
	odp_loaded || return 0
	if [[ -e $ODP_PATCH/enabled ]]; then
		echo 0 >"$ODP_PATCH/enabled" || return
		odp_wait "$ODP_WAIT" odp_patch_gone || {
			odp_log "the livepatch does not go away"
			return 1
		}
	fi
	odp_rmmod "$ODP_NAME"
}

# The last file may be closed by a task that is still on its way out.
odp_rmmod() {
	odp_wait 10 rmmod "$1" 2>/dev/null || rmmod "$1"
}

# --- counters --------------------------------------------------------------

ODP_COUNTER_NAMES=(umem_get umem_alloc_implicit umem_alloc_child umem_release
	faults page_faults page_prefetch fault_retries fault_errors
	invalidations page_invalidations dirtied_pages)
declare -A odp_saved=()

odp_counter() {
	cat "$ODP_COUNTERS/$1"
}

odp_counters_save() {
	local name

	for name in "${ODP_COUNTER_NAMES[@]}"; do
		odp_saved[$name]=$(odp_counter "$name")
	done
}

# What a counter has grown by since odp_counters_save.
odp_delta() {
	echo $(($(odp_counter "$1") - odp_saved[$1]))
}

# All of them, in a line.
odp_deltas() {
	local name text=

	for name in "${ODP_COUNTER_NAMES[@]}"; do
		text+=" $name=$(odp_delta "$name")"
	done
	echo "$text"
}

# --- a region moved step by step: the client mr_steps -----------------------

odp_steps_start() {
	coproc odp_steps { exec "$ODP_BIN/mr_steps" 2>&1; }
	odp_steps_pid=$!
	odp_steps_in=${odp_steps[1]}
	odp_steps_out=${odp_steps[0]}
}

# odp_step STEP…: each is a line for mr_steps; succeeds if all answer "ok".
odp_step() {
	local step answer

	for step; do
		echo "$step" >&"$odp_steps_in"
		read -r -t 120 -u "$odp_steps_out" answer || answer="no answer"
		if [[ $answer != ok ]]; then
			echo "$step: $answer"
			return 1
		fi
	done
}

odp_steps_stop() {
	exec {odp_steps_in}>&-
	wait "$odp_steps_pid"
}

# --- a cgroup --------------------------------------------------------------

# Makes the folder $odp_group, a cgroup whose memory is accounted for.
odp_cgroup() {
	local root=/sys/fs/cgroup

	mountpoint -q "$root" || mount -t cgroup2 cgroup2 "$root"
	grep -qw memory "$root/cgroup.controllers" ||
		odp_skip_all "no memory controller of cgroup v2"
	echo +memory >"$root/cgroup.subtree_control"
	odp_group=$root/odp_selftest
	mkdir -p "$odp_group"
	odp_at_exit odp_cgroup_remove
}

odp_cgroup_remove() {
	odp_wait 10 rmdir "$odp_group" 2>/dev/null
}

# --- memory ----------------------------------------------------------------

# odp_huge_pages N: reserves huge pages, until the test's end.
odp_huge_pages() {
	odp_huge_pages_found=$(</proc/sys/vm/nr_hugepages)
	odp_at_exit odp_huge_pages_restore
	echo "$1" >/proc/sys/vm/nr_hugepages
}

odp_huge_pages_restore() {
	echo "$odp_huge_pages_found" >/proc/sys/vm/nr_hugepages
}

# --- the RDMA device and its modules ---------------------------------------

# A module's holders first, then the module.
odp_rmmod_tree() {
	local holder

	[[ -e /sys/module/$1 ]] || return 0
	for holder in "/sys/module/$1/holders/"*; do
		[[ -e $holder ]] || continue
		odp_rmmod_tree "${holder##*/}" || return
	done
	odp_rmmod "$1" && odp_removed=("$1" "${odp_removed[@]}")
}

# The net device under the RDMA device.
odp_find_netdev() {
	rdma link show "$ODP_DEV/1" | sed -n 's/.* netdev \([^ ]*\).*/\1/p'
}

# Takes the device away, and all modules down to ib_core.
odp_rdma_down() {
	odp_netdev=$(odp_find_netdev)
	[[ -n $odp_netdev ]] || {
		echo "no netdev under $ODP_DEV"
		return 1
	}
	odp_removed=()
	rdma link delete "$ODP_DEV" && odp_rmmod_tree ib_core
}

# Brings back what odp_rdma_down took away.
odp_rdma_up() {
	local module

	[[ -e /sys/class/infiniband/$ODP_DEV ]] && return 0
	for module in "${odp_removed[@]}"; do
		modprobe "$module" || return
	done
	rdma link add "$ODP_DEV" type rxe netdev "$odp_netdev"
}
