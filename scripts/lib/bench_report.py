#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Turns what `make bench` measured into a table, verdicts, JSON and plots.

Two runs that follow one another in the guest, one of each side, give a ratio; a
ratio is shown as its median, with the smallest and the largest in brackets.
"""

import argparse
import json
import statistics
import sys

MESSAGES = ["write-64KiB", "read-64KiB", "write-64B", "read-64B"]
STORMS = [f"{faults}/{storm}" for faults in ("rdma", "prefetch", "prefetch-anew") for storm in ("dontneed", "mprotect")]
FLAT = 1.5
TERABYTE_BYTES = 64 << 10
TOUCH = 1 / 8
WARM = 1.01
SCALE = 0.95
STORM = 1.10
ADDED = 1.05
SAME = 0.02
# Over a baseline: an earlier module of ours
FAULT = 1.10
KEPT = 1.02


class Samples:
    """The lines "sample COMPARISON ROUND SIDE MEASURE VALUE" of the guests."""

    def __init__(self, paths):
        self.values = {}
        for path in paths:
            with open(path, encoding="utf-8") as file:
                for line in file:
                    if line.startswith("sample "):
                        _, comparison, turn, side, measure, value = line.split()
                        runs = self.values.setdefault((comparison, side, measure), [])
                        runs.append((int(turn), float(value)))

    def of(self, side, measure, comparison="rust"):
        """The values of all runs in their order; empty if it cannot be done there."""
        return [value for _, value in self.values.get((comparison, side, measure), [])]

    def median(self, side, measure):
        values = self.of(side, measure)
        return statistics.median(values) if values else None

    def other(self):
        """Whom Rust is measured against: stock, or an earlier module."""
        return "baseline" if any(side == "baseline" for _, side, _ in self.values) else "stock"

    def measures(self):
        return sorted({measure for _, _, measure in self.values})

    def as_json(self):
        tree = {}
        for (comparison, side, measure), runs in self.values.items():
            tree.setdefault(comparison, {}).setdefault(side, {})[measure] = [value for _, value in runs]
        return tree


class Ratio:
    """Ratios of pairs of runs: the smallest, the median, the largest."""

    def __init__(self, over, under):
        ratios = [a / b for a, b in zip(over, under) if b > 0]
        self.known = bool(ratios)
        if ratios:
            self.low, self.mid, self.high = min(ratios), statistics.median(ratios), max(ratios)

    def as_json(self):
        return {"min": self.low, "median": self.mid, "max": self.high} if self.known else None

    def __str__(self):
        if not self.known:
            return "-"
        digits = 3 if self.high < 100 else 0
        return f"{self.mid:.{digits}f} [{self.low:.{digits}f} … {self.high:.{digits}f}]"


class Bar:
    """What is asked of Rust, beside the same on stock and beside the control."""

    def __init__(self, name, rust, limit, at_least=False, stock=None, control=None):
        self.name, self.rust, self.limit, self.at_least = name, rust, limit, at_least
        self.stock, self.control = stock, control
        self.verdict = self.judge()

    def judge(self):
        if not self.rust.known:
            return "not measured"
        met = self.rust.mid >= self.limit if self.at_least else self.rust.mid <= self.limit
        if met:
            return "met"
        # Nothing tells it from the control, which compares what must be equal.
        if self.control and self.control.known and \
                self.control.low * (1 - SAME) <= self.rust.mid <= self.control.high * (1 + SAME):
            return "as the control"
        return "MISSED"

    def row(self):
        return [self.name, str(self.rust), ("≥ " if self.at_least else "≤ ") + f"{self.limit:.5g}",
                str(self.stock or "-"), str(self.control or "-"), self.verdict]

    def as_json(self):
        sides = {"rust": self.rust, "stock": self.stock, "control": self.control}
        return {"name": self.name, "limit": self.limit, "at_least": self.at_least, "verdict": self.verdict,
                **{side: ratio.as_json() for side, ratio in sides.items() if ratio and ratio.known}}


def against_other(samples, measure):
    return Ratio(samples.of("rust", measure), samples.of(samples.other(), measure))


def control(samples, measure):
    """The other module against itself, loaded anew: what the method sees where nothing differs."""
    other = samples.other()
    return Ratio(samples.of(f"{other}-again", measure, "control"), samples.of(other, measure, "control"))


def bars(samples):
    def within(side, over, under):
        return Ratio(samples.of(side, over), samples.of(side, under))

    def plain(side, measure):
        return Ratio(samples.of(side, measure), [1.0] * len(samples.of(side, measure)))

    for act in ("register", "deregister"):
        yield Bar(f"{act}, untouched: 1 TiB over 1 MiB", within("rust", f"{act}/1TiB", f"{act}/1MiB"), FLAT)
    # The kernel's own walk grows with the range; what the region adds is in question.
    yield Bar("mprotect, untouched: 1 TiB over 1 MiB", within("rust", "mprotect/1TiB", "mprotect/1MiB"), FLAT,
              control=within("rust", "mprotect-unregistered/1TiB", "mprotect-unregistered/1MiB"))
    yield Bar("mprotect 1 TiB, untouched: over memory that is not registered",
              within("rust", "mprotect/1TiB", "mprotect-unregistered/1TiB"), ADDED)
    for act in ("register", "deregister", "mprotect"):
        yield Bar(f"{act} 1 MiB, untouched: over stock", against_other(samples, f"{act}/1MiB"), 1,
                  control=control(samples, f"{act}/1MiB"))
    yield Bar("kernel memory of an untouched TiB, bytes", plain("rust", "memory/1TiB"), TERABYTE_BYTES)
    for pages in ("4KiB", "THP"):
        yield Bar(f"first touch of resident memory, {pages}: over stock",
                  against_other(samples, f"touch/{pages}"), TOUCH, control=control(samples, f"touch/{pages}"))
    for message in MESSAGES:
        odp, pinned, again = (f"warm-{message}/{which}" for which in ("odp", "pinned", "pinned-again"))
        yield Bar(f"warm {message.replace('-', ' ').upper()}, instructions: over pinned".replace("KIB", " KiB"),
                  within("rust", odp, pinned), WARM, stock=within("stock", odp, pinned),
                  control=within("rust", again, pinned))
    for op in ("write", "read"):
        for pairs in (1, 2, 4):
            yield Bar(f"{op.upper()} throughput, {pairs} QP: over pinned", plain("rust", f"scale-{op}/{pairs}"),
                      SCALE, at_least=True, stock=plain("stock", f"scale-{op}/{pairs}"),
                      control=plain("rust", f"scale-{op}-control/{pairs}"))
    for storm in STORMS:
        faults, kind = storm.split("/")
        measure = f"storm-{faults}-slowdown/{kind}"
        yield Bar(f"{faults} fault, {kind} storm: in another window over outside", plain("rust", measure),
                  STORM, stock=plain("stock", measure), control=plain("rust", f"{measure}-control"))


def bars_over_baseline(samples):
    for measure in samples.measures():
        what, _, detail = measure.partition("/")
        if what == "fault":
            name, limit = f"page fault, {detail.replace('/', ', ')}", FAULT
        elif what == "touch-window":
            name, limit = f"first touch of a resident window, {detail}", KEPT
        elif what.startswith("warm-") and detail == "odp":
            name, limit = f"warm {what.removeprefix('warm-')}", KEPT
        else:
            continue
        yield Bar(f"{name}: over the baseline", against_other(samples, measure), limit,
                  control=control(samples, measure))


def print_table(head, rows):
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    print()


def number(value):
    if value is None:
        return "refused"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def print_samples(samples):
    rows = []
    other = samples.other()
    for measure in samples.measures():
        rows.append([measure, number(samples.median("rust", measure)), number(samples.median(other, measure)),
                     str(against_other(samples, measure)), str(control(samples, measure))])
    print_table(["measure (median of the runs)", "Rust", other, f"Rust over {other}", f"{other} over {other}"], rows)
    print("register, deregister, mprotect, warm: instructions of one; touch, fault: of a page; memory: bytes;")
    print("storm: ns of 64 KiB, slowdown over a storm outside; scale: throughput over that of a pinned region; rate: MiB/s\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strict", action="store_true", help="exit status 1 if a bar is missed")
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--results", required=True, help="folder for bench.json, bench.svg and bench.png")
    parser.add_argument("samples", nargs="+")
    options = parser.parse_args()

    samples = Samples(options.samples)
    all_bars = list(bars_over_baseline(samples) if samples.other() == "baseline" else bars(samples))
    print()
    print_samples(samples)
    print_table(["bar", "Rust", "limit", "stock", "control", "verdict"], [bar.row() for bar in all_bars])
    with open(f"{options.results}/bench.json", "w", encoding="utf-8") as file:
        json.dump({"kernel": options.kernel, "samples": samples.as_json(),
                   "bars": [bar.as_json() for bar in all_bars]}, file, indent=1)
        file.write("\n")
    written = ["bench.json"]
    if samples.other() == "stock":
        import bench_plot  # wants matplotlib, which not everybody has

        for name in ("bench.svg", "bench.png"):
            bench_plot.plot(samples, f"{options.results}/{name}")
            written.append(name)
    print(f"{options.results}/{', '.join(written)}")
    verdicts = [bar.verdict for bar in all_bars]
    missed = len(all_bars) - verdicts.count("met") - verdicts.count("as the control")
    print(f"{verdicts.count('met')} bars met, {verdicts.count('as the control')} as the control, {missed} missed")
    return 1 if options.strict and missed else 0


if __name__ == "__main__":
    sys.exit(main())
