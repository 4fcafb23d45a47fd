"""Pictures of precision and recall."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from connectomics.evaluation import PrecisionRecallCurve
from connectomics.files import atomic_path

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")  # Okabe, Ito 2008

FINEST = 1 / 400
"""Of an axis: what two points of a curve are apart, at least, to be told from one another."""


def precision_recall_figure(
    path: str | Path, curves: Sequence[PrecisionRecallCurve], *, title: str = ""
) -> Path:
    """Write a PNG of precision over recall as the confidence cutoff falls.

    A line for each IoU threshold, with a dot where F1 is largest; faint lines of equal F1.

    Args:
        path: Where to write; a file that stands there is replaced.
        curves: One for each threshold.
        title: The line above everything.

    Returns:
        The path written.
    """
    figure = Figure(figsize=(5.2, 5.2 + 0.2 * len(curves)), dpi=120)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    draw_precision_recall(axes, curves)
    axes.set_title(title, fontsize=11)
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary)
    return Path(path)


def draw_precision_recall(axes: Axes, curves: Sequence[PrecisionRecallCurve]) -> None:
    """Draw precision over recall: see `precision_recall_figure`."""
    _draw_equal_f1(axes)
    for i, curve in enumerate(curves):
        # Curves of several thresholds may be one: the first are drawn wider and show below.
        width = min(1.8 + 1.6 * (len(curves) - 1 - i), 6.6)
        _draw_curve(axes, curve, COLOURS[i % len(COLOURS)], width)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02), aspect="equal")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.13), frameon=False, fontsize=9)


def _draw_curve(axes: Axes, curve: PrecisionRecallCurve, colour: str, width: float) -> None:
    cutoff, precision, recall = curve.points()
    f1, best = curve.best_f1()
    label = f"IoU ≥ {curve.iou_threshold:g}: AP {_number(curve.average_precision)}"
    if np.isfinite(best) and f1 > 0:
        label += f"; best F1 {_number(f1)} at confidence ≥ {best:.2f}"
        place = np.flatnonzero(cutoff == best)[:1]
        axes.plot(recall[place], precision[place], "o", color=colour, clip_on=False)
    # The curve begins where nothing is shown yet, at the precision of the surest synapse.
    start = np.zeros(min(recall.size, 1))
    line = _thinned(np.concatenate([start, recall]), np.concatenate([precision[:1], precision]))
    axes.plot(
        *line,
        color=colour,
        linewidth=width,
        label=label,
    )


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A curve without the points that are too near to the one before them to show."""
    cells = np.round(np.stack([x, y]) / FINEST)
    moved = np.any(np.diff(cells, axis=1), axis=0)
    kept = np.concatenate([[True], moved[:-1], [True]]) if x.size > 1 else np.full(x.size, True)
    return x[kept], y[kept]


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


def _draw_equal_f1(axes: Axes) -> None:
    """Faint lines along which F1 is 0.2, 0.4, 0.6 and 0.8."""
    for f1 in (0.2, 0.4, 0.6, 0.8):
        recall = np.linspace(f1 / (2 - f1), 1, 100)
        precision = f1 * recall / (2 * recall - f1)
        axes.plot(recall, precision, color="0.5", alpha=0.35, linewidth=0.8, zorder=0)
        axes.text(1.02, precision[-1], f"F1 {f1:g}", color="0.5", fontsize=7, va="center")
