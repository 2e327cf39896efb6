# SPDX-License-Identifier: GPL-2.0
#
# Counts the single tests in files of KTAP and lists what failed or was skipped.
# A nested level begins with two blanks or, as kselftest's runner writes it, "# ".
# A result with results below it is not counted, unless it alone failed.
# A test that fails as it is expected to is none of ours: it has failed.
# What failed comes with the lines before it, to `lines_kept`, which as a rule say why.

BEGIN {
	lines_kept = 12
}

function base(path) {
	sub(/.*\//, "", path)
	sub(/\.ktap$/, "", path)
	return path
}

function fail(what,    i) {
	failed++
	failures = failures "  " suite ": " what "\n"
	for (i = said > lines_kept ? said - lines_kept : 0; i < said; i++)
		failures = failures "      " says[i] "\n"
	said = 0
}

function forget(level) {
	for (; level in seen; level++) {
		delete seen[level]
		delete planned[level]
		delete bad[level]
		delete reason[level]
	}
}

# What a level has planned and not shown is lost: a test that died, say.
function close_level(level, name,    lost) {
	lost = planned[level] - seen[level]
	if (lost > 0) {
		fail(name ": " lost " of " planned[level] " planned results are missing")
		bad[level]++
	}
}

function end_suite() {
	if (suite == "")
		return
	close_level(0, "the suite")
	if (!total)
		fail("no results")
	else if (ended != "" && !bad[0])
		fail(ended)
	forget(0)
	total = 0
	ended = ""
}

FNR == 1 {
	end_suite()
	suite = base(FILENAME)
	seen[0] = 0
	said = 0
}

/^# suite ended with status / {
	ended = substr($0, 3)
	next
}

{
	line = $0
	sub(/\r$/, "", line)
	for (level = 0; line ~ /^(# |  )/; level++)
		line = substr(line, 3)
}

line ~ /^1\.\.[0-9]+/ {
	split(line, words, /[. ]+/)
	planned[level] = words[2]
	seen[level] += 0
	if (match(line, /# *SKIP */))
		reason[level] = substr(line, RSTART + RLENGTH)
	next
}

line ~ /^(not )?ok [0-9]+( |$)/ {
	ok = line ~ /^ok/
	name = line
	sub(/^(not )?ok [0-9]+ *(- )?/, "", name)
	nested = seen[level + 1] > 0 || planned[level + 1] > 0
	if (nested)
		close_level(level + 1, name)
	skip = match(name, /# *SKIP */)
	why = skip ? substr(name, RSTART + RLENGTH) : ""
	if (skip) {
		name = substr(name, 1, RSTART - 1)
		sub(/ +$/, "", name)
	}
	if (nested) {
		if (bad[level + 1])
			bad[level]++
		else if (!ok && !skip) {
			fail(name)
			bad[level]++
		}
	} else if (skip) {
		if (why == "")
			why = reason[level + 1]
		skipped++
		skips = skips "  " suite ": " name ": " (why == "" ? "no reason given" : why) "\n"
	} else if (ok && name !~ /# *XFAIL/) {
		passed++
	} else {
		fail(name)
		bad[level]++
	}
	forget(level + 1)
	seen[level]++
	total++
	said = 0
	next
}

{
	says[said++] = line
}

END {
	end_suite()
	if (skips != "")
		printf "skipped:\n%s", skips
	if (failures != "")
		printf "failed:\n%s", failures
	printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
	exit failed > 0
}
