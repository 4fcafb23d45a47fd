"""Which synapses get a picture in the gallery, and which voxels it shows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from connectomics.geometry import Box
from connectomics.report.cutouts import View

MOST_PICTURES = 1500
"""Of a page; the errors come first, each kind with as many as the others if it has them."""

MOST_PIXELS = 24_000_000
"""Of all pictures of a volume: about 10 MB of page, which a browser opens within a second."""

SMALLEST_VIEW, LARGEST_VIEW = 64, 192
SURROUNDINGS = 1.75
"""Edge of what is shown, of that of a synapse: vesicles and membranes around it tell its sides."""

SECTIONS = (0.2, 0.5, 0.8)
"""Which sections of a synapse are shown, by how far down it they lie."""


def most_shown(side: int, at_most: int = MOST_PICTURES) -> int:
    """How many pictures of this edge a volume has at most."""
    return min(at_most, MOST_PIXELS // (len(SECTIONS) * side**2))


def choose(kinds: Sequence[str], most: int) -> np.ndarray:
    """Which synapses get a picture: errors first, the rarer the kind the more of it.

    Args:
        kinds: What became of each; see `gallery.KINDS`.
        most: How many get one.

    Returns:
        Their rows, in order.

    >>> choose(["true", "missed", "false", "missed"], 2).tolist()
    [1, 2]
    """
    names = np.asarray(kinds, "U16")
    good = np.isin(names, ("true", "found", "ignored"))
    errors = _shared(np.where(good, "", names), most)
    return np.sort(np.concatenate([errors, _evenly(np.flatnonzero(good), most - len(errors))]))


def _shared(names: np.ndarray, most: int) -> np.ndarray:
    """Rows of every name but the empty one, about as many of each where not all can be taken."""
    groups = [np.flatnonzero(names == name) for name in np.unique(names[names != ""])]
    taken = [np.zeros(0, np.int64)]
    for left, group in zip(range(len(groups), 0, -1), sorted(groups, key=len), strict=True):
        taken.append(_evenly(group, (most - sum(map(len, taken))) // left))
    return np.concatenate(taken)


def _evenly(rows: np.ndarray, most: int) -> np.ndarray:
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(int)] if most > 0 else rows[:0]


def edge_of(start: np.ndarray, stop: np.ndarray) -> int:
    """The edge of the squares that are shown, one for all synapses.

    Args:
        start: (k, 3) first voxel of each.
        stop: (k, 3) one past its last.
    """
    if not len(start):
        return SMALLEST_VIEW
    extent = (stop - start)[:, 1:].max(axis=1)
    return int(np.clip(SURROUNDINGS * np.quantile(extent, 0.9), SMALLEST_VIEW, LARGEST_VIEW))


def views_of(shown: np.ndarray, middle: np.ndarray, shape: Sequence[int], side: int) -> list[View]:
    """What to show of each synapse: a square at three of its sections, or beside a thin one.

    Args:
        shown: (k, 2) the first section to choose from, and one past the last.
        middle: (k, 2) the voxel (y, x) in the middle.
        shape: (Z, Y, X) of the volume.
        side: Edge of the square.
    """
    corner = np.maximum(np.minimum(middle - side // 2, np.array(shape[1:]) - side), 0)
    views = []
    for (first, end), (y, x) in zip(shown.tolist(), corner.tolist(), strict=True):
        sections = _sections(first, end, shape[0])
        box = Box((sections[0], y, x), (sections[-1] + 1, y + side, x + side))
        views.append(View(sections, box))
    return views


def _sections(first: int, end: int, depth: int) -> tuple[int, ...]:
    """Three of the sections of a synapse, and those next to it where it has fewer.

    >>> _sections(10, 21, 30), _sections(4, 6, 30), _sections(0, 1, 30), _sections(0, 2, 2)
    ((12, 15, 18), (4, 5, 6), (0, 1, 2), (0, 1))
    >>> _sections(23, 27, 30)
    (23, 24, 26)
    """
    if end - first < len(SECTIONS):
        first = max(0, min(first - (end - first == 1), depth - len(SECTIONS)))
        return tuple(range(first, min(first + len(SECTIONS), depth)))
    last, (low, middle, high) = end - 1 - first, SECTIONS
    return (
        first + math.floor(last * low),
        first + math.floor(last * middle),
        first + math.ceil(last * high),
    )
