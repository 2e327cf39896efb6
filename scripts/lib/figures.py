#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Collects the figures that tests report, by lines of KTAP at any level such as

    # figure: rxe_vma_storm: bytes verified: 123456 bytes

usage: figures.py JSON KTAP...   writes them to the file JSON and prints them as a table
"""

import json
import os
import re
import sys

FIGURE = re.compile(r"^[# ]*figure: ([^:]+): ([^:]+): (-?\d+(?:\.\d+)?)(?: (\S.*))?$")


def figures_of(path):
    """The figures in a file of KTAP, in its order."""
    suite = os.path.basename(path).removesuffix(".ktap")
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            match = FIGURE.match(line.rstrip())
            if match:
                test, what, number, unit = match.groups()
                value = float(number) if "." in number else int(number)
                yield {"suite": suite, "test": test, "what": what, "value": value, "unit": unit or ""}


def print_table(figures):
    """One line for a figure, and the sum of what was wrong, which has to be nothing."""
    rows = [(f["suite"], f["test"], f["what"], f"{f['value']:,}", f["unit"]) for f in figures]
    rows.insert(0, ("suite", "test", "figure", "value", "unit"))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths)]
        cells[3] = row[3].rjust(widths[3])
        print("  ".join(cells).rstrip())
    # What a control saw wrong is right.
    wrong = [
        figure["value"]
        for figure in figures
        if figure["what"].endswith(("wrong", "stale pages")) and "control" not in figure["what"]
    ]
    print(f"wrong in all: {sum(wrong):,} (of {len(wrong)} figures)\n")


def main():
    """Reads the files that the command line names."""
    output, *paths = sys.argv[1:]
    figures = [figure for path in paths for figure in figures_of(path)]
    with open(output, "w", encoding="utf-8") as file:
        json.dump(figures, file, indent=1)
        file.write("\n")
    if figures:
        print_table(figures)


if __name__ == "__main__":
    main()
