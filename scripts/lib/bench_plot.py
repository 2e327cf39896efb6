# SPDX-License-Identifier: GPL-2.0
"""The plot of `make bench`."""

import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams["svg.hashsalt"] = "bench"

from matplotlib import pyplot  # noqa: E402

SIZES = {"1MiB": 1, "16MiB": 16, "256MiB": 256, "4GiB": 4 << 10, "64GiB": 64 << 10, "1TiB": 1 << 20}
COLOURS = {"rust": "#c1440e", "stock": "#4a6fa5", "control": "#9a9a9a"}
NAMES = {"rust": "Rust", "stock": "stock C", "control": "control"}


def plot_sizes(axes, samples):
    """Register, deregister and mprotect against the size."""
    for act, line in (("register", "-"), ("deregister", "--"), ("mprotect", ":")):
        for side in ("rust", "stock"):
            points = [(mib, samples.median(side, f"{act}/{size}")) for size, mib in SIZES.items()]
            points = [(mib, value / 1000) for mib, value in points if value]
            if points:
                axes.plot(*zip(*points), line, marker="o", markersize=4, color=COLOURS[side],
                          label=f"{act}, {NAMES[side]}")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(list(SIZES.values()), [size.replace("iB", "") for size in SIZES])
    axes.set_ylabel("thousand instructions")
    axes.set_title("a region that is never touched")
    axes.legend(fontsize=7)


def spread(runs):
    middle = sorted(runs)[len(runs) // 2] if len(runs) % 2 else sum(sorted(runs)[len(runs) // 2 - 1:][:2]) / 2
    return middle, middle - min(runs), max(runs) - middle


def plot_groups(axes, groups, sides):
    """Bars side by side, with the spread of their runs; groups: (label, {side: runs})."""
    width = 0.8 / len(sides)
    for index, side in enumerate(sides):
        places = [place + index * width for place, (_, runs) in enumerate(groups) if runs.get(side)]
        shown = [spread(runs[side]) for _, runs in groups if runs.get(side)]
        if shown:
            middles, down, up = zip(*shown)
            axes.bar(places, middles, width, yerr=(down, up), color=COLOURS[side], label=NAMES[side],
                     capsize=2, error_kw={"linewidth": 0.8})
    axes.set_xticks([place + width * (len(sides) - 1) / 2 for place in range(len(groups))],
                    [label for label, _ in groups], fontsize=7)
    axes.legend(fontsize=7)


def plot_touch(axes, samples):
    groups = [(f"{what}\n{pages}", {side: samples.of(side, f"{measure}/{pages}") for side in ("rust", "stock")})
              for measure, what in (("touch", "first touch"), ("register-and-touch", "register + touch"))
              for pages in ("4KiB", "THP")]
    plot_groups(axes, groups, ("rust", "stock"))
    axes.set_ylabel("instructions a page, over warm")
    axes.set_title("resident memory, 64 KiB WRITEs")


def plot_scale(axes, samples):
    groups = []
    for op in ("write", "read"):
        for pairs in (1, 2, 4):
            runs = {side: samples.of(side, f"scale-{op}/{pairs}") for side in ("rust", "stock")}
            runs["control"] = samples.of("rust", f"scale-{op}-control/{pairs}")
            groups.append((f"{op.upper()}\n{pairs} QP", runs))
    plot_groups(axes, groups, ("rust", "stock", "control"))
    axes.axhline(1, color="black", linewidth=0.6)
    axes.set_ylabel("throughput, over a pinned region")
    axes.set_title("queue pairs in one window (control: pinned)")


def plot_storm(axes, samples):
    groups = []
    for faults in ("rdma", "prefetch", "prefetch-anew"):
        for kind in ("dontneed", "mprotect"):
            measure = f"storm-{faults}-slowdown/{kind}"
            runs = {side: samples.of(side, measure) for side in ("rust", "stock")}
            runs["control"] = samples.of("rust", f"{measure}-control")
            groups.append((f"{faults}\n{kind}", runs))
    plot_groups(axes, groups, ("rust", "stock", "control"))
    axes.axhline(1, color="black", linewidth=0.6)
    axes.set_ylabel("time of a fault, over a storm outside")
    axes.set_title("invalidations in another window (control: outside)")


def plot(samples, path):
    figure, axes = pyplot.subplots(2, 2, figsize=(11, 8), layout="constrained")
    plot_sizes(axes[0][0], samples)
    plot_touch(axes[0][1], samples)
    plot_scale(axes[1][0], samples)
    plot_storm(axes[1][1], samples)
    for one in axes.flat:
        one.grid(axis="y", linewidth=0.3)
        one.set_axisbelow(True)
    figure.savefig(path, dpi=120, metadata={"Date": None} if path.endswith(".svg") else None)
    pyplot.close(figure)
