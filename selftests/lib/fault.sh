# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# For tests under injected faults; after odp.sh and slab.sh.
#
#   fault_begin                   after odp_init: skips where the kernel cannot inject
#                                 faults; sets which allocations can fail: all
#   fault_sweep CLIENT NAME       a sweep by fail-nth (lib/fail_nth.h), in the cgroup
#   fault_nothing_left            whether all that was charged to the cgroup has gone
#   fault_figures                 the sum of the sweeps
#   fault_only_within SYMBOL|[MODULE] [rust]   faults hit where that is among the callers,
#   fault_not_within SYMBOL|[MODULE]           and where this is not
#   fault_everywhere              both undone
#   fault_call_nth N CALL…        fault_call; sets $fault_error and $fault_injects
#   fault_steps MOST STRIDE STEP  STEP N, which does a call under fail-nth and what belongs
#                                 to it, for each STRIDE-th N until it was not hit
#
# In place of odp_log_without_expected: stack dumps of an allocator that found no memory,
# which is what was asked for, are left out; a warning, or a stack dump, of anybody else
# is not.

FAULT_DIRS=(/sys/kernel/debug/failslab /sys/kernel/debug/fail_page_alloc)
FAULT_WAIT=$((20 * ODP_SLOW))	# seconds for RCU and the statistics of the cgroup
fault_injected=0 fault_wrong=0 fault_sweeps=0

fault_begin() {
	local directory

	[[ -e /proc/self/fail-nth ]] || odp_skip_all "this kernel cannot inject faults"
	for directory in "${FAULT_DIRS[@]}"; do
		[[ -d $directory ]] || odp_skip_all "no $directory"
	done
	odp_at_exit fault_end
	fault_set verbose 0
	fault_set probability 0
	fault_set ignore-gfp-wait N
	echo N >/sys/kernel/debug/failslab/cache-filter
	echo N >/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem
	echo 0 >/sys/kernel/debug/fail_page_alloc/min-order
	[[ ! -e ${FAULT_DIRS[0]}/require-start ]] || fault_everywhere
	odp_cgroup
}

fault_end() {
	fault_set probability 0
	fault_set ignore-gfp-wait Y
	echo Y >/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem
	echo 1 >/sys/kernel/debug/fail_page_alloc/min-order
	[[ ! -e ${FAULT_DIRS[0]}/require-start ]] || fault_everywhere
}

# fault_set FILE VALUE: of both kinds of faults.
fault_set() {
	local directory

	for directory in "${FAULT_DIRS[@]}"; do
		echo "$2" >"$directory/$1"
	done
}

# --- where faults hit ----------------------------------------------------------

fault_need_filter() {
	[[ -e ${FAULT_DIRS[0]}/require-start ]] ||
		odp_skip_all "no CONFIG_FAULT_INJECTION_STACKTRACE_FILTER"
}

# fault_text [MODULE]|SYMBOL: addresses where its code begins and ends; of a module that
# is partly in Rust, with "rust" behind it, that part: it comes behind what is in C, but
# for code that is seldom run.
fault_text() {
	sort /proc/kallsyms | awk -v what="$1" -v rust="${2:-}" '
		$2 !~ /[tTwW]/ || last { next }
		{ is = $3 == what || $4 == what }
		first && (!is || (rust && $3 ~ /\.cold$/)) { last = $1 }
		!first && is && (!rust || $3 ~ /^_R/) { first = $1 }
		END { if (!first) exit 1; print first, last ? last : "ffffffffffffffff" }'
}

# fault_only_within, fault_not_within [MODULE]|SYMBOL [rust]
fault_only_within() {
	local first last

	read -r first last < <(fault_text "$@") || {
		echo "there is no code of $*"
		return 1
	}
	fault_set stacktrace-depth 32 && fault_set require-start "0x$first" &&
		fault_set require-end "0x$last"
}

fault_not_within() {
	local first last

	read -r first last < <(fault_text "$@") || {
		echo "there is no code of $*"
		return 1
	}
	fault_set reject-start "0x$first" && fault_set reject-end "0x$last"
}

fault_everywhere() {
	fault_set require-start 0
	fault_set require-end 0xffffffffffffffff
	fault_set reject-start 0
	fault_set reject-end 0
}

# --- sweeps --------------------------------------------------------------------

fault_sweep() {
	local status=0 what number

	(
		echo "$BASHPID" >"$odp_group/cgroup.procs"
		exec "$ODP_BIN/$1" "${@:2}"
	) >"$odp_tmp/sweep" 2>&1 || status=$?
	while read -r _ what number; do
		case $what in
		injected) fault_injected=$((fault_injected + number)) ;;
		wrong) fault_wrong=$((fault_wrong + number)) ;;
		esac
	done < <(grep '^figure ' "$odp_tmp/sweep")
	fault_sweeps=$((fault_sweeps + 1))
	grep -v '^figure ' "$odp_tmp/sweep"
	return "$status"
}

# Once without a fault, so that what is made at the first use is there.
fault_warm_up() {
	(
		echo "$BASHPID" >"$odp_group/cgroup.procs"
		exec "$ODP_BIN/$1" "$2" 1000000
	) >/dev/null
}

fault_figures() {
	odp_figure "sweeps" "$fault_sweeps"
	odp_figure "faults injected" "$fault_injected"
	odp_figure "wrong" "$fault_wrong"
}

# --- what is left ----------------------------------------------------------------

# Bytes that are charged to the cgroup, of what cannot be reclaimed.
fault_left() {
	awk '$1 ~ /^(slab_unreclaimable|vmalloc|pagetables|sec_pagetables|kernel_stack)$/ {
		n += $2 } END { print n }' "$odp_group/memory.stat"
}

# Makes the kernel settle what it keeps for each processor: counts, objects that wait to
# be freed, and the last address space that was used there.
fault_settle() {
	local cpu

	slab_shrink
	for ((cpu = 0; cpu < $(nproc); cpu++)); do
		taskset -c "$cpu" true
	done
	sleep 1
	echo 0 >"$odp_group/memory.high"
	echo max >"$odp_group/memory.high"
}

fault_nothing_left() {
	local end=$((SECONDS + FAULT_WAIT))

	while (($(fault_left) > 0)); do
		((SECONDS < end)) || {
			echo "$(fault_left) bytes are still charged to the cgroup"
			return 1
		}
		fault_settle
	done
}

# --- single calls ------------------------------------------------------------------

fault_call_nth() {
	local word

	read -r fault_error word < <("$ODP_BIN/fault_call" "$@") || {
		echo "fault_call $* failed"
		return 1
	}
	fault_injects=no
	[[ $word != injected ]] || fault_injects=yes
	[[ $fault_injects == no ]] || fault_injected=$((fault_injected + 1))
}

fault_steps() {
	local n steps=0 before=$fault_injected

	fault_sweeps=$((fault_sweeps + 1))
	for ((n = 1; n < $1; n += $2)); do
		steps=$((steps + 1))
		"$3" "$n" || {
			echo "n=$n: wrong, error $fault_error"
			fault_wrong=$((fault_wrong + 1))
			return 1
		}
		[[ $fault_injects == yes ]] || {
			echo "$steps steps, $((fault_injected - before)) faults"
			return 0
		}
	done
	echo "no end after $steps steps"
	return 1
}

odp_log_without_expected() {
	awk '/vmalloc error: |page allocation failure: / { skip = 1 }
		!skip
		/<\/TASK>/ { skip = 0 }'
}
