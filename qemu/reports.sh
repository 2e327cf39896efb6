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

# report_kernel LOG: prints the part of LOG from its first report on, to standard
# error; fails if there is none.
report_kernel() {
	local report
	report=$(tr -d '\r' <"$1" | awk -v pattern="$kernel_report_pattern" '
		!found && /^\[[ 0-9.]+\]/ && $0 ~ pattern { found = 1; for (i = NR - 3; i < NR; i++) if (i in last) print last[i] }
		found && ++lines <= 120
		{ last[NR] = $0; delete last[NR - 3] }')
	[ -n "$report" ] || return 1
	printf '%s\n' "--- the kernel's report, from $1" "$report" "--- end of the report" >&2
	echo "error: the kernel reported a fault" >&2
}
