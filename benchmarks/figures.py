"""The figures of docs/performance.md, drawn from the numbers in benchmarks/figures.json.

    python benchmarks/figures.py

Each set of numbers has the command that measured it. A figure holds a sum of its numbers, by which
a test knows whether it was drawn from those that are there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from connectomics.digests import digest

NUMBERS = Path(__file__).with_suffix(".json")
FOLDER = Path(__file__).parents[1] / "docs" / "images"
NAMES = {
    "decoding by volume": "decoding_by_volume.svg",
    "decoding by synapses": "decoding_by_synapses.svg",
    "workers": "workers.svg",
    "memory": "memory_by_volume.svg",
}
COLOURS = {"polarity2instance": "#0072b2", "synapses": "#d55e00"}
LOOK: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "connectomics",
}
"""On white, which can be read on a dark page, too."""

VOLUME = " \N{MULTIPLICATION SIGN} ".join(("64", "512", "512"))

Numbers = Mapping[str, Any]


def numbers() -> dict[str, Numbers]:
    """What was measured, by figure."""
    return json.loads(NUMBERS.read_text("utf-8"))


def curves(axes: Axes, x: Sequence[float], of: Mapping[str, Sequence[float]]) -> None:
    """A line for each way to decode, on two scales by powers; by block it is dashed."""
    for name, values in of.items():
        colour = COLOURS[name.split(",")[0]]
        style = "--" if "by block" in name else "-"
        axes.plot(x, values, style, color=colour, marker="o", markersize=4, label=name)
    axes.set(xscale="log", yscale="log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 3)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_locator(LogLocator(subs=()))


def by_volume(of: Numbers) -> Figure:
    """Seconds of decoding over voxels."""
    figure = Figure((5.4, 3.4), layout="constrained")
    axes = figure.subplots()
    curves(axes, [prod(shape) / 1e6 for shape in of["shape"]], of["seconds"])
    axes.set(xlabel="million voxels, 0.6 synapses per µm³", ylabel="seconds of one processor")
    axes.legend()
    return figure


def by_synapses(of: Numbers) -> Figure:
    """Seconds and memory of decoding over synapses."""
    figure = Figure((8.0, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    curves(left, of["synapses"], of["seconds"])
    curves(right, of["synapses"], of["bytes per voxel"])
    for axes in (left, right):
        axes.set_xlabel(f"synapses in {VOLUME} voxels")
    left.set_ylabel("seconds of one processor")
    right.set_ylabel("memory beyond probabilities, bytes/voxel")
    left.legend()
    return figure


def by_workers(of: Numbers) -> Figure:
    """Seconds of decoding over workers."""
    figure = Figure((4.2, 3.2), layout="constrained")
    axes = figure.subplots()
    passes = of["passes of decoding"]
    for name, colour in (("the whole command", "#999999"), ("passes of decoding", "#d55e00")):
        axes.plot(of["workers"], of[name], color=colour, marker="o", label=name)
    ideal = [passes[0] / workers for workers in of["workers"]]
    axes.plot(of["workers"], ideal, ":", color="#555555", label="passes, twice as fast")
    axes.set(xlabel="workers", ylabel="seconds for 1 GiB of EM", xticks=of["workers"])
    axes.set(ylim=(0, None), xlim=(0.8, 2.2))
    axes.legend()
    return figure


def memory(of: Numbers) -> Figure:
    """Peak memory over the size of the volume."""
    figure = Figure((4.6, 3.2), layout="constrained")
    axes = figure.subplots()
    colours = {"infer": "#009e73", "evaluate": "#999999"}
    for name in ("infer", "evaluate", "decode, synapses", "decode, polarity2instance"):
        colour = colours.get(name) or COLOURS[name.removeprefix("decode, ")]
        axes.plot(of["gib"], of[name], color=colour, marker="o", label=name)
    axes.set(xlabel="GiB of 8-bit EM", ylabel="peak resident memory, MiB", xticks=of["gib"])
    axes.set(ylim=(0, 1600), xlim=(0, 18))
    axes.legend(ncols=2)
    return figure


DRAWN = {
    "decoding by volume": by_volume,
    "decoding by synapses": by_synapses,
    "workers": by_workers,
    "memory": memory,
}


def main() -> None:
    """Draw them all."""
    FOLDER.mkdir(exist_ok=True)
    for name, of in numbers().items():
        with mpl.rc_context(LOOK):
            figure = DRAWN[name](of)
            about = {"Description": f"numbers {digest(of)}", "Date": None}
            figure.savefig(FOLDER / NAMES[name], metadata=about)


if __name__ == "__main__":
    main()
