"""Two masks: how much of one is in the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from connectomics.evaluation.contingency import check_labels, check_shapes
from connectomics.evaluation.counts import ratio


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


def mask_overlap(
    truth: np.ndarray, prediction: np.ndarray, *, mask: np.ndarray | None = None
) -> MaskOverlap:
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
    check_shapes(truth, prediction, mask)
    check_labels("truth", truth, mask)
    check_labels("prediction", prediction, mask)
    first, second = truth != 0, prediction != 0
    if mask is not None:
        first, second = first & (mask != 0), second & (mask != 0)
    shared = np.count_nonzero(first & second)
    return MaskOverlap(int(shared), int(np.count_nonzero(first)), int(np.count_nonzero(second)))
