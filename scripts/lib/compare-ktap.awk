# SPDX-License-Identifier: GPL-2.0
#
# compare-ktap.awk WITHOUT WITH: two outputs of run_kselftest.sh, result by result. A line
# for each: a word, a tab, and the test:
#   ok       it is ok in both
#   skip     it is not, but the same in both: behind ": " it says what
#   differs
# Results are those of KTAP, and the lines "TEST: … ok" of the kernel's shell scripts.

function note(name, result, reason) {
	if (side == 1 && !(name in without))
		order[++tests] = name
	if (side == 1) {
		without[name] = result
		why[name] = reason
	} else {
		if (!(name in without) && !(name in with))
			order[++tests] = name
		with[name] = result
	}
}

function result_of(line,    result, name, reason) {
	result = line ~ /^ok/ ? "ok" : "not ok"
	name = line
	reason = ""
	sub(/^(not )?ok [0-9]+ *(- )?/, "", name)
	if (match(name, /# *(SKIP|XFAIL) */)) {
		reason = substr(name, RSTART + RLENGTH)
		result = name ~ /# *SKIP/ ? "skipped" : "expected to fail"
		name = substr(name, 1, RSTART - 1)
	}
	# The exit status and the time limit.
	sub(/ *(# .*)?$/, "", name)
	note(test == name || level == 0 ? name : test ": " name, result, reason)
}

FNR == 1 {
	side++
}

{
	line = $0
	sub(/\r$/, "", line)
	for (level = 0; line ~ /^(# |  )/; level++)
		line = substr(line, 3)
}

line ~ /^selftests: [^ ]*: [^ ]*$/ {
	test = line
	sub(/^selftests: [^ ]*: /, "", test)
	next
}

line ~ /^TEST: .* \.\.\. / {
	result = line ~ / \.\.\. ok$/ ? "ok" : "not ok"
	sub(/^TEST: /, "", line)
	sub(/ \.\.\. .*$/, "", line)
	note(test ": " line, result, "")
	next
}

line ~ /^(not )?ok [0-9]+( |$)/ {
	sub(/selftests: [^ ]*: /, "", line)
	result_of(line)
}

END {
	for (i = 1; i <= tests; i++) {
		name = order[i]
		a = name in without ? without[name] : "missing"
		b = name in with ? with[name] : "missing"
		if (a != b)
			printf "differs\t%s: without: %s, with: %s\n", name, a, b
		else if (a == "ok")
			printf "ok\t%s\n", name
		else
			printf "skip\t%s: %s without it too%s\n", name, a, why[name] == "" ? "" : " (" why[name] ")"
	}
}
