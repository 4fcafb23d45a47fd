"""Where the errors are: scores by synapse size, by border, and by distance to it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from connectomics.errors import DataError
from connectomics.evaluation.counts import Counts
from connectomics.evaluation.matches import Matches


@dataclass(frozen=True)
class Share:
    """The scores of some of the rows.

    Attributes:
        name: Which rows.
        detection: TP, FP, FN of detection among them.
        polarity: TP, FP, FN of polarity among them.
    """

    name: str
    detection: Counts
    polarity: Counts

    def as_dict(self, *, sided: bool = True) -> dict[str, Any]:
        """The counts with their ratios; those of polarity where the objects have sides."""
        polarity = {"polarity": self.polarity.as_dict()} if sided else {}
        return {"name": self.name, "detection": self.detection.as_dict(), **polarity}


def scores_by_size(matches: Matches, edges: Sequence[float] | None = None) -> tuple[Share, ...]:
    """Scores within ranges of synapse size.

    A row belongs to the size of its truth synapse, a spurious prediction to its own.

    Args:
        matches: Rows of `PolarityScores.matches` or `DetectionScores.matches`.
        edges: Sizes in voxels that part the ranges, ascending; the quartiles of the truth
            unless given. A size equal to an edge lies above it.

    Raises:
        DataError: The edges do not ascend.
    """
    cuts = _quartiles(matches) if edges is None else list(edges)
    size = np.where(matches.truth_id > 0, matches.truth_voxels, matches.prediction_voxels)
    part = _ranges(size, cuts)
    names = _range_names(cuts, "voxels")
    return tuple(_share(name, matches, part == i) for i, name in enumerate(names))


def _quartiles(matches: Matches) -> list[float]:
    sizes = matches.truth_voxels[matches.truth_id > 0]
    return _quantiles(sizes, (0.25, 0.5, 0.75))


def scores_by_border(matches: Matches) -> tuple[Share, Share]:
    """Scores of synapses inside the volume and of those cut by its border.

    A row belongs where its truth synapse lies, a spurious prediction where it lies itself.
    """
    cut = _cut(matches)
    return _share("inside", matches, ~cut), _share("border", matches, cut)


def scores_by_distance(
    matches: Matches, distance: np.ndarray, edges: Sequence[float] | None = None
) -> tuple[Share, ...]:
    """Scores of synapses that the border cuts, and of the others by how far from it they lie.

    Args:
        matches: As for `scores_by_size`.
        distance: (k,) from each row's synapse to the nearest face of its volume.
        edges: Distances that part the ranges, ascending; unless given, those that part the true
            synapses that are not cut in three, or in fewer where there are less than six.

    Raises:
        DataError: The edges do not ascend.
    """
    cut = _cut(matches)
    away = distance[(matches.truth_id > 0) & ~cut]
    number = min(3, max(1, away.size // 2))
    shares = [part / number for part in range(1, number)]
    cuts = _quantiles(away, shares) if edges is None else edges
    part = _ranges(distance, cuts)
    names = _range_names(cuts, "distance") if cuts else ["not cut"]
    parts = [_share(name, matches, ~cut & (part == i)) for i, name in enumerate(names)]
    return _share("cut", matches, cut), *parts


def _quantiles(values: np.ndarray, shares: Sequence[float]) -> list[float]:
    """Where to part values; fewer than asked for where many are equal."""
    return np.unique(np.quantile(values, shares)).tolist() if values.size else []


def _cut(matches: Matches) -> np.ndarray:
    return np.where(
        matches.truth_id > 0, matches.truth_touches_border, matches.prediction_touches_border
    )


def _ranges(values: np.ndarray, edges: Sequence[float]) -> np.ndarray:
    """(k,) the range that each value lies in; one equal to an edge lies above it."""
    if list(edges) != sorted(edges):
        raise DataError("evaluation: edges", f"{list(edges)} do not ascend.", "Sort them.")
    return np.searchsorted(np.asarray(edges, float), values, side="right")


def _range_names(edges: Sequence[float], what: str) -> list[str]:
    marks = ["0", *(f"{edge:g}" for edge in edges), "inf"]
    return [f"{low} <= {what} < {high}" for low, high in itertools.pairwise(marks)]


def _share(name: str, matches: Matches, rows: np.ndarray) -> Share:
    chosen = matches.selected(rows)
    return Share(name, chosen.detection_counts, chosen.polarity_counts)
