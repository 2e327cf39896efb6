#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Has the kernel's kunit.py judge the results of KUnit suites, and prints them as KTAP.

usage: kunit_results.py KUNIT.PY RESULTS SUITE...   RESULTS: a file of each suite's, of its name
A suite passes if kunit.py says so, finds no error in the file, and all cases passed. Then it is shown
that it would be seen if it were otherwise, by a suite that fails (odp_control), one that is cut short,
and one that is missing. Exit status: 0 if all passed, 1 if not.
"""

import json
import os
import subprocess
import sys
import tempfile

CONTROL = "odp_control"
# What the cases of the control have to come to.
CONTROL_CASES = {"passes": "PASS", "fails_by_an_assertion": "FAIL", "fails_by_an_error": "FAIL"}


class Verdict:
    """What kunit.py says of a file of results."""

    def __init__(self, tool, lines):
        with tempfile.TemporaryDirectory() as folder:
            results, summary = (os.path.join(folder, name) for name in ("results", "json"))
            with open(results, "w", encoding="utf-8") as file:
                file.writelines(lines)
            run = subprocess.run(
                [tool, "parse", f"--json={summary}", results],
                capture_output=True,
                text=True,
                check=False,
            )
            self.passed = run.returncode == 0
            with open(summary, encoding="utf-8") as file:
                parsed = json.load(file)
        self.errors = parsed["misc"]["errors"]
        # The one suite of the file.
        suite = (parsed["sub_groups"] or [{"test_cases": []}])[0]
        self.cases = {case["name"]: case["status"] for case in suite["test_cases"]}

    def all_cases_passed(self):
        """By the cases alone, if all of them are there."""
        good = all(status in ("PASS", "SKIP") for status in self.cases.values())
        return bool(self.cases) and good and not self.errors

    def is_good(self):
        """By all that is known."""
        return self.passed and self.all_cases_passed()

    def __str__(self):
        return f"kunit.py {'passes' if self.passed else 'refuses'} it, errors in the file: {self.errors}"


class Report:
    """KTAP, line by line."""

    def __init__(self):
        self.number = 0
        self.failed = 0
        print("KTAP version 1")

    def result(self, name, passed, note=""):
        """One result. `note` says more where it is not what it should be."""
        self.number += 1
        self.failed += not passed
        if not passed and note:
            print(f"# kunit: {name}: {note}")
        print(f"{'ok' if passed else 'not ok'} {self.number} {name}", flush=True)

    def end(self):
        """The plan. Returns the exit status."""
        print(f"1..{self.number}")
        return 1 if self.failed else 0


def read(folder, suite):
    """The lines of a suite's results: none if there are no results."""
    try:
        with open(os.path.join(folder, suite), encoding="utf-8", errors="replace") as file:
            return file.readlines()
    except FileNotFoundError:
        return []


def judge(report, tool, folder, suite):
    """Reports the cases of a suite."""
    lines = read(folder, suite)
    if not lines:
        report.result(suite, False, "there are no results")
        return
    verdict = Verdict(tool, lines)

    for case, status in verdict.cases.items():
        skip = " # SKIP" if status == "SKIP" else ""
        report.result(f"{suite}.{case}{skip}", status in ("PASS", "SKIP"), status)
    if verdict.passed != verdict.all_cases_passed():
        report.result(suite, False, f"{verdict}, and the cases say {verdict.cases}")
    elif not verdict.passed:
        for line in lines:
            print(f"# kunit: {line.strip()}")
        if not verdict.cases:
            report.result(suite, False, str(verdict))


def control(report, tool, folder, suites):
    """Reports whether what is wrong would be seen."""
    failing = Verdict(tool, read(folder, CONTROL))
    report.result(
        "control.a_failing_case_is_seen",
        not failing.passed and failing.cases == CONTROL_CASES,
        f"{failing}: {failing.cases}",
    )
    for suite in suites:
        lines = read(folder, suite)
        # A guest that died there.
        for name, kept in (("half", len(lines) // 2), ("the_end", len(lines) - 1)):
            cut = Verdict(tool, lines[:kept])
            report.result(f"control.{suite}_without_{name}_is_seen", not cut.is_good(), str(cut))
    missing = Verdict(tool, [])
    report.result("control.a_missing_suite_is_seen", not missing.is_good(), str(missing))


def main():
    if len(sys.argv) < 4:
        sys.exit("usage: kunit_results.py KUNIT.PY RESULTS SUITE...")
    tool, folder, *suites = sys.argv[1:]
    report = Report()

    for suite in suites:
        judge(report, tool, folder, suite)
    control(report, tool, folder, suites[:1])
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
