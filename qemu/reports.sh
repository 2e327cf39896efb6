# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Finds what a kernel complains of in a console log.

kernel_report_pattern='------------\[ cut here \]|Kernel panic|BUG: |BUG at |Oops|WARNING: '
kernel_report_pattern+='|general protection fault|INFO: task .* blocked for more than'
kernel_report_pattern+='|rcu.*detected.* stall|INFO: trying to register non-static key'
kernel_report_pattern+='|INFO: suspicious RCU|soft lockup|hard LOCKUP|UBSAN: |KASAN: |KFENCE: '
kernel_report_pattern+='|kmemleak: .*new suspected memory leaks|refcount_t: |panicked at'
kernel_report_pattern+='|list_(add|del) corruption|Bad page state|Bad rss-counter'
# SLUB's; lockdep's, which also says when it gives up; debug objects, DMA, page tables
kernel_report_pattern+='|BUG [-a-zA-Z0-9_]+ \(|INFO: lockdep is turned off|ODEBUG: '
# kmemleak's, when it gives up; without a scan area it goes on
kernel_report_pattern+='|kmemleak: Cannot (allocate a kmemleak_object|insert)'
kernel_report_pattern+='|DMA-API: .*disabl|page dumped because'

# Data races have one of these modules, or their Rust, in a stack. The kernel lives
# with many others, also in the C that is instrumented as it shares data with ours.
kernel_race_pattern='\[(rust_umem_odp|rdma_rxe|edu_odp|umem_odp_abi|umem_odp_dma)\]'

# And these are meant, though the kernel does not say so to KCSAN: who searches an xarray
# under RCU looks at marks that are being set, or at a slot as xas_delete_node() empties
# it; who waits for an invalidation to end looks at its number while it ends, or another
# begins.
kernel_race_meant='xa_set_mark / xas_find_marked|xas_load / xas_store'
kernel_race_meant+='|mmu_interval_read_begin / mn_itree_inv_end'
kernel_race_meant+='|__mmu_notifier_invalidate_range_start / mmu_interval_read_begin'

# Of C's own ODP, which tests show the defects of (HMM walks into a table that is in use),
# if there is none of Rust in a stack.
kernel_race_of_c='ib_umem_odp_[a-z_]+\+.* \[ib_core\]'

# What the kernel says of a program that died of a trap is not about the kernel.
kernel_trap_of_user='traps: .*\[[0-9]+\] (general protection fault|trap ).* ip:'

# kernel_log LOG: without the traps of programs, and without the reports of data races that
# have none of ours in a stack, are meant or are C's, but for what another processor
# reported meanwhile.
kernel_log() {
	tr -d '\r' <"$1" | ours=$kernel_race_pattern meant=$kernel_race_meant \
		c=$kernel_race_of_c report=$kernel_report_pattern trap=$kernel_trap_of_user awk '
		BEGIN {	# -v would take the backslashes away
			ours = ENVIRON["ours"]; meant = ENVIRON["meant"]
			c = ENVIRON["c"]; report = ENVIRON["report"]; trap = ENVIRON["trap"]
		}
		function end_race(  i, counts) {
			counts = is_ours && !is_meant && (!is_c || is_rust)
			for (i = 1; i <= held; i++)
				if (counts || (lines[i] ~ report && lines[i] !~ /BUG: KCSAN: /))
					print lines[i]
			in_race = held = is_ours = is_meant = is_c = is_rust = 0
		}
		$0 ~ trap { next }
		/BUG: KCSAN: / { end_race(); in_race = 1; is_meant = $0 ~ meant }
		!in_race { print; next }
		{ lines[++held] = $0 }
		$0 ~ ours { is_ours = 1 }
		$0 ~ c { is_c = 1 }
		/ _R[NI]/ { is_rust = 1 }
		/==================/ { end_race() }
		END { is_ours = is_rust = 1; is_meant = 0; end_race() }'
}

# report_kernel LOG: prints the part of LOG from its first report on, to standard
# error; fails if there is none.
report_kernel() {
	local report
	report=$(kernel_log "$1" | pattern=$kernel_report_pattern awk '
		!found && /^\[[ 0-9.]+\]/ && $0 ~ ENVIRON["pattern"] { found = 1; for (i = NR - 3; i < NR; i++) if (i in last) print last[i] }
		found && ++lines <= 120
		{ last[NR] = $0; delete last[NR - 3] }')
	[ -n "$report" ] || return 1
	printf '%s\n' "--- the kernel's report, from $1" "$report" "--- end of the report" >&2
	echo "error: the kernel reported a fault" >&2
}
