#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Proves that misuse of the crate `odp` does not compile.

A case is a file of compile_fail/. As it is, it must be refused for one reason: where a comment
`//~ ERROR E0308: expected X, found Y` ends a line (`//~^`: the line before), there must be errors on
that line alone, of that code, with that text in them. With `--cfg correct`, which selects the right
way to do the same, it must compile. The flags are those by which Kbuild compiled a driver on `odp`.

usage: compile_fail.py [MODULES [CASE...]]   MODULES: where Kbuild put the modules (MO=)
Prints KTAP. Exit status: 0 if all cases passed, 1 if one failed, 2 if one could not be run.
"""

import json
import os
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../scripts/lib"))
import kbuild  # pylint: disable=wrong-import-position,import-error

CASES = os.path.join(HERE, "compile_fail")
DRIVER = "drivers/infiniband/core/umem_odp.o"
MARKER = re.compile(r"//~(\^?) ERROR (E\d{4}): (.+)$")


class CannotRun(Exception):
    """A case cannot be run."""


class Error:
    """An error of the compiler, by its main place in the source."""

    def __init__(self, diagnostic, span):
        self.code = (diagnostic["code"] or {}).get("code", "without a code")
        self.line = span["line_start"]
        self.text = f"{diagnostic['message']}: {span['label']}".replace("`", "")

    def __str__(self):
        return f"{self.code} on line {self.line}: {self.text}"


def errors(driver, source, output, *flags):
    """Compiles `source`. Returns its errors."""
    run = subprocess.run(
        ["rustc", *driver.flags, "--error-format=json", "--cap-lints=allow"]
        + ["--crate-name=compile_fail", f"--emit=metadata={output}/case.rmeta", *flags, source],
        capture_output=True,
        text=True,
        check=False,
        **driver.process(),
    )
    found = []
    for line in run.stderr.splitlines():
        diagnostic = json.loads(line) if line.startswith("{") else {}
        spans = [span for span in diagnostic.get("spans", ()) if span["is_primary"]]
        # "aborting due to ..." has no span. Nothing else without one is the case's fault.
        if diagnostic.get("level") == "error" and spans:
            found.append(Error(diagnostic, spans[0]))
    if not found and run.returncode != 0:
        raise CannotRun(f"the compiler failed: {run.stderr.strip()}")
    return found


def expectation(source):
    """The one (code, line, text) that the case's marker names."""
    with open(source, encoding="utf-8") as file:
        matches = [(MARKER.search(line), number) for number, line in enumerate(file, 1)]
    found = [
        (match[2], number - len(match[1]), match[3]) for match, number in matches if match
    ]
    if len(found) != 1:
        raise CannotRun(f"{source} has {len(found)} lines '//~ ERROR' instead of one")
    return found[0]


def problems(driver, source, output):
    """Why the case fails: nothing if it passes."""
    code, line, text = expectation(source)
    misuse = errors(driver, source, output)

    if not misuse:
        yield f"the misuse compiles, instead of {code} on line {line}"
    elif {(error.code, error.line) for error in misuse} != {(code, line)} or not any(
        text in error.text for error in misuse
    ):
        yield f"expected {code} on line {line} alone, '{text}', but got:"
        yield from (f"  {error}" for error in misuse)
    for error in errors(driver, source, output, "--cfg=correct"):
        yield f"the correct use does not compile: {error}"


def main():
    kbuild.enter_build_root()
    driver = kbuild.RustCommand(os.path.abspath((sys.argv[1:] or [kbuild.MODULES])[0]), DRIVER)
    every_case = sorted(name[:-3] for name in os.listdir(CASES) if name.endswith(".rs"))
    cases = sys.argv[2:] or every_case
    failed = 0

    print("KTAP version 1")
    print(f"1..{len(cases)}")
    with tempfile.TemporaryDirectory() as output:
        for number, case in enumerate(cases, 1):
            why = list(problems(driver, os.path.join(CASES, case + ".rs"), output))
            failed += bool(why)
            for line in why:
                print(f"# {line}")
            print(f"{'not ok' if why else 'ok'} {number} {case}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CannotRun as error:
        print(f"Bail out! {error}")
        sys.exit(2)
