"""Charts as SVG that is part of a page: text stays text, and black is the page's own ink."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from connectomics.evaluation import Counts, PrecisionRecallCurve, Share
from connectomics.report.curves import COLOURS, draw_precision_recall

INK = "#010203"
"""Drawn in this colour, a line takes the colour of the page's text."""

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "connectomics",
    "font.family": "sans-serif",
    "font.size": 10,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor"), INK),
    **dict.fromkeys(("xtick.color", "ytick.color"), INK),
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def precision_recall_chart(curves: Sequence[PrecisionRecallCurve], chosen: float | None) -> str:
    """Precision over recall, with a ring where everything that was decoded is shown.

    Args:
        curves: One for each IoU threshold.
        chosen: The IoU threshold of the headline, whose end gets the ring.
    """

    def draw(axes: Axes) -> None:
        draw_precision_recall(axes, curves)
        for curve in curves:
            _, precision, recall = curve.points()
            if curve.iou_threshold == chosen and precision.size:
                ring = {"facecolors": "none", "edgecolors": INK, "linewidths": 1.4}
                axes.scatter(recall[-1:], precision[-1:], s=70, zorder=5, clip_on=False, **ring)

    return svg(draw, (4.8, 4.5 + 0.2 * len(curves)), "Precision over recall")


def shares_chart(shares: Sequence[Share], *, sided: bool, label: str) -> str:
    """F1 of some of the synapses beside that of others, and how many true ones each holds.

    Args:
        shares: The groups.
        sided: Whether to show F1_pol beside F1_det.
        label: What parts the groups.
    """
    shares = [share for share in shares if share.detection != Counts(0, 0, 0)]
    scores = {"F1_det": [share.detection.f1 for share in shares]}
    if sided:
        scores["F1_pol"] = [share.polarity.f1 for share in shares]

    def draw(axes: Axes) -> None:
        width = 0.8 / len(scores)
        for i, (name, values) in enumerate(scores.items()):
            at = np.arange(len(shares)) + (i - (len(scores) - 1) / 2) * width
            axes.bar(at, np.nan_to_num(values), width * 0.92, color=COLOURS[i], label=name)
            for x, value in zip(at, values, strict=True):
                text = "-" if np.isnan(value) else f"{value:.2f}"
                axes.text(x, np.nan_to_num(value) + 0.02, text, ha="center", fontsize=8.5)
        truths = [share.detection.tp + share.detection.fn for share in shares]
        names = [f"{_short(s.name)}\n{n} true" for s, n in zip(shares, truths, strict=True)]
        axes.set_xticks(range(len(shares)), names, fontsize=8.5)
        axes.set(ylim=(0, 1.12), ylabel="F1", xlabel=label)
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), frameon=False, ncols=2, fontsize=8)

    return svg(draw, (4.8, 3.2), f"Scores by {label}")


def _short(name: str) -> str:
    """A range of sizes or distances as it fits below a bar.

    >>> _short("0 <= voxels < 3925.25"), _short("3925.25 <= voxels < inf"), _short("inside")
    ('< 3,925', '≥ 3,925', 'inside')
    """
    found = re.fullmatch(r"(\S+) <= \w+ < (\S+)", name)
    if not found:
        return name
    low, high = (float(edge) for edge in found.groups())
    if low == 0:
        return f"< {high:,.0f}" if high < float("inf") else "all"
    return f"≥ {low:,.0f}" if high == float("inf") else f"{low:,.0f}\nto {high:,.0f}"


def histogram_chart(values: Sequence[float], *, label: str, log: bool = False) -> str:
    """How many synapses have which value.

    Args:
        values: One per synapse, above 0 where `log`.
        label: What the values are.
        log: Whether to show orders of magnitude.
    """
    data = np.asarray(values, float)

    def draw(axes: Axes) -> None:
        bins = min(40, max(8, int(np.sqrt(data.size) * 2)))
        edges = np.linspace(data.min(), data.max() or 1.0, bins + 1) if data.size else bins
        if log and data.size:
            edges = np.geomspace(data.min() * 0.99, data.max() * 1.01, bins + 1)
            axes.set_xscale("log")
            between = (1, 2, 5) if data.max() < 100 * data.min() else (1,)
            axes.xaxis.set_major_locator(LogLocator(subs=between))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.tick_params(axis="x", labelsize=8)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.hist(data, bins=edges, color=COLOURS[0])
        axes.set(xlabel=label, ylabel="synapses")

    return svg(draw, (4.4, 2.8), f"Distribution of {label}")


def training_chart(curves: Mapping[str, tuple[Sequence[int], Sequence[float]]], label: str) -> str:
    """Numbers of a training over its steps.

    Args:
        curves: Steps and values, by name.
        label: What the values are.
    """

    def draw(axes: Axes) -> None:
        for i, (name, (steps, values)) in enumerate(curves.items()):
            mark, colour = "o" if len(steps) == 1 else "", COLOURS[i % len(COLOURS)]
            axes.plot(steps, values, color=colour, linewidth=1.4, label=name, marker=mark)
        axes.set(xlabel="step", ylabel=label)
        axes.legend(frameon=False, fontsize=8)

    return svg(draw, (4.8, 3.0), f"{label} while training")


def svg(draw: Callable[[Axes], None], size: tuple[float, float], title: str) -> str:
    """Draw a chart as an `<svg>` element that grows with the page.

    Args:
        draw: Draws on the axes it is given.
        size: Width and height in inches.
        title: What a screen reader says.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.subplots())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'\s(?:width|height)="[\d.]+pt"', "", text, count=2)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r' d="[^"]*"', _rounded_path, text)
    text = text.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)
    return text.replace(INK, "currentColor")


def _rounded_path(path: re.Match[str]) -> str:
    """Coordinates to a hundredth of a point, which is finer than any screen."""
    return re.sub(r"(?<=\.\d\d)\d+", "", path[0])
