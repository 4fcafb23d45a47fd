"""A picture of a search: the score trial by trial, and each setting against the score."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from connectomics.files import atomic_path

COLUMNS = (4, 3)
DPI = 200
LETTERS = 34
"""Of the title, that fit above a column."""

TRIED, BEST = "#0072b2", "#d55e00"  # Okabe, Ito 2008
PRUNED = "#bbbbbb"
JITTER = 0.18


def search_figure(
    path: str | Path,
    scores: Sequence[float],
    settings: Mapping[str, Sequence[Any]],
    *,
    pruned: Sequence[bool],
    log: Collection[str] = (),
    score: str = "score",
    title: str = "",
) -> Path:
    """Write a PNG of a search.

    Above, the score of each trial and the best so far; the dashed line is trial 0, what was
    configured. Below, each setting against the score. Everywhere the best trial is a star and
    trial 0 a diamond; trials that were cut short are grey, with the score they had by then.

    Args:
        path: Where to write; a file that stands there is replaced.
        scores: Of each trial, NaN where it has none.
        settings: The values of each setting by its name, one per trial. What is no number is
            shown as a category.
        pruned: Whether a trial was cut short.
        log: Names of the settings to show by orders of magnitude.
        score: What the scores are.
        title: The line above everything.

    Returns:
        The path written.
    """
    values, cut = np.asarray(scores, float), np.asarray(pruned, bool)
    fitting = min(COLUMNS, key=lambda columns: -len(settings) % columns)
    columns = min(fitting, max(len(settings), 2))
    rows = math.ceil(len(settings) / columns)
    figure = Figure(figsize=(3.2 * columns, 3.0 + 2.7 * rows), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(rows + 1, columns)
    best = int(np.nanargmax(np.where(cut, np.nan, values)))
    _draw_history(figure.add_subplot(grid[0, :]), values, cut, best, score)
    first: Axes | None = None
    for place, (name, tried) in enumerate(settings.items()):
        row, column = divmod(place, columns)
        axis = figure.add_subplot(grid[row + 1, column], sharey=first)
        first = first or axis
        axis.set_xlabel(name)
        axis.set_ylabel(score if column == 0 else "")
        axis.tick_params(labelleft=column == 0)
        _draw_setting(axis, _positions(axis, tried, log=name in log), values, cut, best)
    figure.suptitle(textwrap.fill(title, LETTERS * columns))
    with atomic_path(path) as temporary:
        figure.savefig(temporary)
    return Path(path)


def _draw_history(axis: Axes, scores: np.ndarray, cut: np.ndarray, best: int, name: str) -> None:
    number = np.arange(len(scores))
    so_far = np.fmax.accumulate(np.where(cut, np.nan, scores))
    axis.step(number, so_far, where="post", color=BEST, linewidth=1.2, label="best so far")
    axis.axhline(scores[0], color="black", linewidth=0.8, linestyle="--")
    axis.scatter(number[~cut], scores[~cut], s=16, color=TRIED, label="trial")
    if cut.any():
        axis.scatter(number[cut], scores[cut], s=16, color=PRUNED, marker="x", label="cut short")
    _mark(axis, number, scores, best)
    axis.set_xlabel("trial")
    axis.set_ylabel(name)
    axis.margins(x=0.01)
    axis.legend(
        loc="lower right", bbox_to_anchor=(1, 1), fontsize=8, ncols=5, frameon=False, borderpad=0
    )


def _draw_setting(
    axis: Axes, at: np.ndarray, scores: np.ndarray, cut: np.ndarray, best: int
) -> None:
    axis.scatter(at[cut], scores[cut], s=14, color=PRUNED, marker="x")
    axis.scatter(at[~cut], scores[~cut], s=14, color=TRIED, alpha=0.7)
    _mark(axis, at, scores, best)


def _mark(axis: Axes, at: np.ndarray, scores: np.ndarray, best: int) -> None:
    """Mark what was configured, and the best."""
    hollow = {"facecolors": "none", "edgecolors": "black", "linewidths": 1.0}
    axis.scatter(at[:1], scores[:1], s=34, marker="D", zorder=3, label="as configured", **hollow)
    axis.scatter(at[[best]], scores[[best]], s=60, color=BEST, marker="*", zorder=4, label="best")


def _positions(axis: Axes, tried: Sequence[Any], *, log: bool) -> np.ndarray:
    """Where the values of a setting lie on the x axis, which is made ready for them."""
    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in tried)
    if numeric:
        if log and min(tried) > 0:
            axis.set_xscale("log")
        elif all(isinstance(value, int) for value in tried):
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        return np.asarray(tried, float)
    texts = [json.dumps(value) for value in tried]
    names = sorted(set(texts))
    axis.set_xticks(range(len(names)), names)
    axis.set_xlim(-0.5, len(names) - 0.5)
    # Spread sideways, evenly and in the order of the trials, so that dots do not hide dots.
    spread = JITTER * np.sin(2.4 * np.arange(len(texts)))
    return np.asarray([names.index(text) for text in texts], float) + spread
