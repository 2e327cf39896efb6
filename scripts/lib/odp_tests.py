# SPDX-License-Identifier: GPL-2.0
"""In the guest, in the directory of rdma-core's tests: runs those of ODP, and counts.

usage: odp_tests.py COUNTERS   COUNTERS: where to write lines "name number"

Memory regions take their counters with them, so those are read when a test ends.
"""

import collections
import json
import os
import runpy
import subprocess
import sys
import unittest

NAMES = (
    "page_faults",
    "page_faults_handled",
    "page_invalidations",
    "page_invalidations_handled",
    "page_prefetch",
)


def regions():
    shown = subprocess.run(
        ["rdma", "-j", "statistic", "show", "mr"], check=True, capture_output=True
    ).stdout
    return json.loads(shown or "[]")


def counting(tear_down, counters):
    """`tear_down` of a test, once what its regions counted was added to `counters`."""

    def count_first(test):
        for region in regions():
            counters.update({name: region[name] for name in NAMES if name in region})
        tear_down(test)

    return count_first


def main():
    output = sys.argv.pop()
    counters = collections.Counter()
    run = unittest.main

    def run_counting(module):
        base = sys.modules["tests.base"].RDMATestCase
        base.tearDown = counting(base.tearDown, counters)
        result = run(module=module, exit=False).result
        bad = len(result.failures) + len(result.errors)
        counts = {
            "tests passed": result.testsRun - bad - len(result.skipped),
            "tests failed": bad,
            "tests skipped": len(result.skipped),
        }
        with open(output, "w", encoding="utf-8") as file:
            for name, number in {**counts, **counters}.items():
                file.write(f"{name.replace(' ', '_')} {number}\n")
        sys.exit(bad > 0)

    unittest.main = run_counting
    sys.argv[1:] = ["--dev", "rxe0", "-v", "-k", "odp"]
    # The tests import what is beside them.
    sys.path.insert(0, os.getcwd())
    runpy.run_path(os.path.abspath("run_tests.py"), run_name="__main__")


main()
