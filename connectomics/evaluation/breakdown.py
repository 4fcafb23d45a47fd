"""Where the errors are: scores by synapse size and by border."""

from __future__ import annotations

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
    if cuts != sorted(cuts):
        raise DataError("evaluation: edges", f"{cuts} do not ascend.", "Sort them.")
    size = np.where(matches.truth_id > 0, matches.truth_voxels, matches.prediction_voxels)
    part = np.searchsorted(np.asarray(cuts, float), size, side="right")
    marks = ["0", *(f"{cut:g}" for cut in cuts), "inf"]
    return tuple(
        _share(f"{marks[i]} <= voxels < {marks[i + 1]}", matches, part == i)
        for i in range(len(marks) - 1)
    )


def _quartiles(matches: Matches) -> list[float]:
    sizes = matches.truth_voxels[matches.truth_id > 0]
    return np.quantile(sizes, (0.25, 0.5, 0.75)).tolist() if sizes.size else []


def scores_by_border(matches: Matches) -> tuple[Share, Share]:
    """Scores of synapses inside the volume and of those cut by its border.

    A row belongs where its truth synapse lies, a spurious prediction where it lies itself.
    """
    cut = np.where(
        matches.truth_id > 0, matches.truth_touches_border, matches.prediction_touches_border
    )
    return _share("inside", matches, ~cut), _share("border", matches, cut)


def _share(name: str, matches: Matches, rows: np.ndarray) -> Share:
    chosen = matches.selected(rows)
    return Share(name, chosen.detection_counts, chosen.polarity_counts)
