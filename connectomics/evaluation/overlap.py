"""Two masks: how much of one is in the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from connectomics.evaluation.counts import ratio
from connectomics.evaluation.metric import Metric
from connectomics.evaluation.volumes import Labels, PairBlock, check_labels, map_pairs
from connectomics.mapping import Part


@dataclass(frozen=True)
class MaskOverlap:
    """Voxel counts of two masks; `+` pools volumes. Ratios are NaN where both are empty.

    Attributes:
        shared: Voxels in both.
        truth: Voxels of the true mask.
        prediction: Voxels of the predicted mask.
    """

    shared: int
    truth: int
    prediction: int

    @property
    def jaccard(self) -> float:
        """Intersection over union."""
        return ratio(self.shared, self.truth + self.prediction - self.shared)

    @property
    def dice(self) -> float:
        """Twice the intersection over the sum of both, the F1 of voxels."""
        return ratio(2 * self.shared, self.truth + self.prediction)

    @property
    def precision(self) -> float:
        """Share of the predicted voxels that are true."""
        return ratio(self.shared, self.prediction)

    @property
    def recall(self) -> float:
        """Share of the true voxels that are predicted."""
        return ratio(self.shared, self.truth)

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing to add."""
        return ()

    def __add__(self, other: MaskOverlap) -> MaskOverlap:
        return MaskOverlap(
            self.shared + other.shared,
            self.truth + other.truth,
            self.prediction + other.prediction,
        )

    def as_dict(self) -> dict[str, Any]:
        """Ratios and the counts behind them."""
        counts = {"shared": self.shared, "truth": self.truth, "prediction": self.prediction}
        return {**self.rows()[0], "voxels": counts}

    def rows(self) -> list[dict[str, Any]]:
        """One line of a table."""
        names = "jaccard", "dice", "precision", "recall"
        return [{name: getattr(self, name) for name in names}]


def mask_overlap(truth: Labels, prediction: Labels, *, mask: Labels | None = None) -> MaskOverlap:
    """Compare the foreground of two label volumes voxel by voxel.

    Args:
        truth: Labels of any shape, foreground where not 0.
        prediction: Labels of the same shape.
        mask: Same shape, 0 where voxels are unlabelled and do not exist.

    Raises:
        DataError: Float or negative labels, or shapes that differ.

    >>> mask_overlap(np.array([1, 1, 0, 0]), np.array([0, 3, 3, 0])).jaccard
    0.3333333333333333
    """
    counts = np.zeros(3, np.int64)
    for part in map_pairs(_counted, truth, prediction, mask):
        counts += part["counts"]
    return MaskOverlap(*counts.tolist())


def _counted(block: PairBlock) -> Part:
    labelled = block.labelled
    check_labels("truth", block.truth, labelled)
    check_labels("prediction", block.prediction, labelled)
    first, second = block.truth != 0, block.prediction != 0
    if labelled is not None:
        first, second = first & (labelled != 0), second & (labelled != 0)
    counts = [np.count_nonzero(one) for one in (first & second, first, second)]
    return {"counts": np.array(counts, np.int64)}


JACCARD = Metric(
    mask_overlap,
    "voxels of the foreground",
    goals={"jaccard": "jaccard", "dice": "dice"},
    passes=("overlap",),
)
