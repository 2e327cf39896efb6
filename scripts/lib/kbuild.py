# SPDX-License-Identifier: GPL-2.0
"""How Kbuild called the Rust compiler: for tools that Kbuild does not know out of tree."""

import os
import shlex
import subprocess
import sys

PROJECT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
# Where `make modules` puts the modules (MO=).
MODULES = os.path.join(PROJECT, "build/stock")


def die(message):
    sys.exit(f"error: {message}")


def enter_build_root():
    """Starts the running script again in the build root, unless that was done."""
    # Neither the kernel's Makefile nor the compiler is to see the variables and jobs of ours.
    for variable in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
        os.environ.pop(variable, None)
    if "ODP_INSIDE" not in os.environ:
        enter = os.path.join(PROJECT, "scripts/in-build-root")
        script = os.path.realpath(sys.argv[0])
        os.execv(enter, [enter, "env", "ODP_INSIDE=1", script, *sys.argv[1:]])


class RustCommand:
    """A call of the compiler.

    flags: all but the source and what says where the outputs go.
    source: the root of the crate.
    environment: of the process, in `directory`.
    """

    def __init__(self, directory, name):
        """`name`: of an object in `directory`, the MO= of the build."""
        path, base = os.path.split(os.path.join(directory, name))
        try:
            with open(os.path.join(path, f".{base}.cmd"), encoding="utf-8") as file:
                words = shlex.split(file.readline().partition(":=")[2])
        except FileNotFoundError as error:
            die(f"{error.filename} is missing: run 'make modules' first")

        self.directory = directory
        # The kernel's Makefile exports the first: a stable compiler then takes unstable features.
        self.environment = {"RUSTC_BOOTSTRAP": "1"}
        while "=" in words[0]:
            variable, _, value = words.pop(0).partition("=")
            self.environment[variable] = value
        self.source = words[-1]
        self.flags = list(self._without_outputs(words[1:-1]))

    @staticmethod
    def _without_outputs(words):
        words = iter(words)
        for word in words:
            if word == "--out-dir":
                next(words)
            elif not word.startswith("--emit="):
                yield word

    def process(self):
        """What subprocess.run() needs for a call like this one."""
        return {
            "cwd": self.directory,
            "env": {**os.environ, **self.environment},
            "stdin": subprocess.DEVNULL,
        }
