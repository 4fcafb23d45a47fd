"""Two scorings that have been used with EM-R50, for comparison with older numbers.

Neither is one-to-one: two predictions may both be right about one synapse. For numbers of
your own use `polarity_scores`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from connectomics.errors import DataError
from connectomics.evaluation.components import Components, Growth
from connectomics.evaluation.counting import contingency_table
from connectomics.evaluation.counts import ratio
from connectomics.evaluation.derived import Derived
from connectomics.evaluation.encoding import Encoding
from connectomics.evaluation.metric import Iou, Metric
from connectomics.evaluation.pair import Pair
from connectomics.evaluation.sides import (
    compare_sides,
    polarity_tables,
    sided_labels,
    synapse_number,
)
from connectomics.evaluation.volumes import Labels, check_labels, check_shapes
from connectomics.geometry import Box
from connectomics.legal import number


@dataclass(frozen=True)
class EmR50Scores:
    """Counts in both directions; `+` pools volumes.

    Attributes:
        true_predictions: Predictions that are right.
        fp: Predictions that are wrong.
        found: Truth synapses that were found.
        fn: Truth synapses that were missed.
        notes: What was done to the volumes before counting.
    """

    true_predictions: int
    fp: int
    found: int
    fn: int
    notes: tuple[str, ...] = ()

    @property
    def precision(self) -> float:
        """Share of the predictions that are right; NaN without predictions."""
        return ratio(self.true_predictions, self.true_predictions + self.fp)

    @property
    def recall(self) -> float:
        """Share of the truth that was found; NaN without truth."""
        return ratio(self.found, self.found + self.fn)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 if one volume is empty, NaN if both are."""
        if not (self.true_predictions and self.found):
            return ratio(0, self.true_predictions + self.fp + self.found + self.fn)
        return 2 * self.precision * self.recall / (self.precision + self.recall)

    def __add__(self, other: EmR50Scores) -> EmR50Scores:
        return EmR50Scores(
            self.true_predictions + other.true_predictions,
            self.fp + other.fp,
            self.found + other.found,
            self.fn + other.fn,
            tuple(dict.fromkeys(self.notes + other.notes)),
        )

    def as_dict(self) -> dict[str, Any]:
        """Ratios and the counts behind them."""
        return self.rows()[0]

    def rows(self) -> list[dict[str, Any]]:
        """One line of a table."""
        names = "precision", "recall", "f1", "true_predictions", "fp", "found", "fn"
        return [{name: getattr(self, name) for name in names}]


def em_r50_union(
    truth: Labels,
    prediction: Labels,
    *,
    iou_threshold: Iou = 0.2,
    min_size: Annotated[int, number(0, 10**12, whole=True)] = 300,
    crop_z: Annotated[int, number(0, 10**6, whole=True)] = 14,
    mask: Labels | None = None,
    truth_encoding: Encoding = "auto",
) -> EmR50Scores:
    """Synapses as unions of their sides, each judged by its best IoU.

    The rule of `evaluate_syn.py` in PyTorch Connectomics (Lin, 2019): sections at both ends
    are blanked; the prediction's foreground, dilated by one voxel along each axis, falls
    into 26-connected components, of which small ones are dropped. A component is right, and
    a truth synapse found, where its best IoU with the other side exceeds the threshold.

    Args:
        truth: (Z, Y, X) labels with sides, see `polarity_scores`.
        prediction: (Z, Y, X) labels; only their foreground counts.
        iou_threshold: IoU must be larger than this.
        min_size: Voxels of the smallest predicted component that counts.
        crop_z: Sections blanked at each end.
        mask: (Z, Y, X), 0 where voxels are unlabelled and do not exist.
        truth_encoding: See `polarity_scores`.

    Raises:
        DataError: Float or negative labels, shapes that differ, or no section left.
    """
    check_shapes(truth, prediction, mask)
    inside = _Uncropped(truth.shape, crop_z)
    inside = inside if mask is None else Derived(_kept_where, inside, mask)
    known = sided_labels("truth", truth, truth_encoding, mask)
    foreground = Derived(_foreground, prediction, inside)
    found = Components(foreground, GROWTH, connectivity=26, min_size=min_size)
    table = contingency_table(Derived(np.multiply, inside, known.labels), found)
    table = table.merged(synapse_number, lambda ids: ids)
    good = table.iou() > iou_threshold
    right = np.unique(table.prediction_index[good]).size
    hit = np.unique(table.truth_index[good]).size
    return EmR50Scores(
        right, len(table.prediction) - right, hit, len(table.truth) - hit, known.notes
    )


class _Uncropped:
    """True in all sections that are not blanked."""

    def __init__(self, shape: tuple[int, ...], crop_z: int) -> None:
        if shape[0] <= 2 * crop_z:
            raise DataError(
                "evaluation: em_r50_union",
                f"the volume has {shape[0]} sections and {crop_z} are blanked at each end.",
                "Set crop_z to less than half of its sections.",
            )
        self.shape, self._crop = shape, crop_z

    def read(self, box: Box) -> np.ndarray:
        """(Z, Y, X) bool of a box."""
        z = np.arange(box.start[0], box.stop[0]).reshape(-1, 1, 1)
        kept = (z >= self._crop) & (z < self.shape[0] - self._crop)
        return np.broadcast_to(kept, box.shape)


def _kept_where(kept: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return kept & (mask != 0)


def _foreground(prediction: np.ndarray, inside: np.ndarray) -> np.ndarray:
    check_labels("prediction", prediction, inside)
    return (prediction != 0) & inside


def _dilated(mask: np.ndarray) -> np.ndarray:
    from scipy.ndimage import binary_dilation

    return binary_dilation(mask)


GROWTH = Growth(_dilated, (1, 1, 1))


def em_r50_pair(
    truth: Labels,
    prediction: Labels,
    *,
    iou_threshold: Iou = 0.3,
    mask: Labels | None = None,
    truth_encoding: Encoding = "auto",
    prediction_encoding: Encoding = "auto",
) -> EmR50Scores:
    """Synapses by both their sides, lenient towards predictions that touch any truth.

    A truth synapse is found where some predicted synapse exceeds the threshold in the IoU
    of the pre sides and in that of the post sides. A prediction is wrong only if it shares
    no voxel with any truth synapse. Precision sets the found synapses against those.

    Args:
        truth: (Z, Y, X) labels with sides, see `polarity_scores`.
        prediction: (Z, Y, X) labels with sides.
        iou_threshold: IoU must be larger than this.
        mask: (Z, Y, X), 0 where voxels are unlabelled and do not exist.
        truth_encoding: See `polarity_scores`.
        prediction_encoding: See `polarity_scores`.

    Raises:
        DataError: Float or negative labels, labels without sides, or shapes that differ.

    >>> truth = np.array([[[1, 1, 2, 2, 0, 0, 0]]])
    >>> prediction = np.array([[[0, 1, 2, 0, 0, 0, 3]]])
    >>> em_r50_pair(truth, prediction).precision
    0.5
    """
    tables = polarity_tables(Pair(truth, prediction, mask, truth_encoding, prediction_encoding))
    table = tables.synapses
    pairs = table.truth.ids[table.truth_index], table.prediction.ids[table.prediction_index]
    compared = compare_sides(tables.sides, *pairs)
    good = (compared.iou_pre > iou_threshold) & (compared.iou_post > iou_threshold)
    hit = np.unique(table.truth_index[good]).size
    touching = np.unique(table.prediction_index).size
    return EmR50Scores(
        true_predictions=hit,
        fp=len(table.prediction) - touching,
        found=hit,
        fn=len(table.truth) - hit,
        notes=tables.notes,
    )


EM_R50_UNION = Metric(
    em_r50_union,
    "best IoU > iou_threshold (0.2) of unions, not one-to-one",
    sided_truth=True,
    goals={"em_r50_union": "f1"},
    passes=("components", "unions"),
)

EM_R50_PAIR = Metric(
    em_r50_pair,
    "IoU > iou_threshold (0.3) of both sides, not one-to-one; fp: touches no truth",
    sided_truth=True,
    sided_prediction=True,
    goals={"em_r50_pair": "f1"},
)
