"""Two volumes of synapses with sides: what they share, side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from connectomics.errors import DataError
from connectomics.evaluation.contingency import ContingencyTable, Objects, find_rows
from connectomics.evaluation.counting import contingency_table
from connectomics.evaluation.encoding import SIDED, Encoding, Interpretation, interpret
from connectomics.evaluation.pair import Pair
from connectomics.evaluation.volumes import Labels


@dataclass(frozen=True, eq=False)
class PolarityTables:
    """What two polarity volumes share, seen four ways; every score follows from it.

    Attributes:
        sides: Objects are side labels (2n-1 and 2n).
        synapses: Objects are synapses, both sides together, however far apart.
        pre: Objects are the pre sides alone, numbered by synapse.
        post: Objects are the post sides alone, numbered by synapse.
        truth_encoding: How the truth was stored.
        prediction_encoding: How the prediction was stored.
        notes: What was done to the volumes before counting.
    """

    sides: ContingencyTable
    synapses: ContingencyTable
    pre: ContingencyTable
    post: ContingencyTable
    truth_encoding: str
    prediction_encoding: str
    notes: tuple[str, ...]


def polarity_tables(pair: Pair) -> PolarityTables:
    """Count once what two polarity volumes share, for scores at any threshold.

    Raises:
        DataError: As `polarity_scores`.
    """
    options = pair.mask, pair.dilate_sz
    first = sided_labels("truth", pair.truth, pair.truth_encoding, *options)
    second = sided_labels("prediction", pair.prediction, pair.prediction_encoding, *options)
    sides = contingency_table(first.labels, second.labels, mask=pair.mask)
    synapses = sides.merged(synapse_number, synapse_number)
    sides = _spread_border(sides, synapses)
    return PolarityTables(
        sides=sides,
        synapses=synapses,
        pre=sides.selected(lambda ids: ids % 2 == 1).merged(synapse_number, synapse_number),
        post=sides.selected(lambda ids: ids % 2 == 0).merged(synapse_number, synapse_number),
        truth_encoding=first.encoding,
        prediction_encoding=second.encoding,
        notes=first.notes + second.notes,
    )


def synapse_number(side_label: np.ndarray) -> np.ndarray:
    """The synapse a side label belongs to: 1 and 2 to 1, 3 and 4 to 2, and so on."""
    return side_label // 2 + side_label % 2


def sided_labels(
    name: str,
    labels: Labels,
    encoding: Encoding = "auto",
    mask: Labels | None = None,
    dilate_sz: int | None = None,
) -> Interpretation:
    """`interpret` labels that must have a pre and a post side.

    Raises:
        DataError: As `interpret`, or an encoding without sides.
    """
    if encoding != "auto" and encoding not in SIDED:
        raise DataError(
            f"evaluation: {name}",
            f"{encoding} labels have no pre and post side.",
            "Score them with detection_scores (metric 'detection').",
        )
    return interpret(name, labels, encoding, sided=True, mask=mask, dilate_sz=dilate_sz)


def _spread_border(sides: ContingencyTable, synapses: ContingencyTable) -> ContingencyTable:
    """A side counts as cut by the border where its synapse is."""

    def spread(side: Objects, synapse: Objects) -> Objects:
        row = find_rows(synapse.ids, synapse_number(side.ids))
        return replace(side, touches_border=synapse.touches_border[row])

    return replace(
        sides,
        truth=spread(sides.truth, synapses.truth),
        prediction=spread(sides.prediction, synapses.prediction),
    )


@dataclass(frozen=True, eq=False)
class SideComparison:
    """How the sides of pairs of synapses fit, one entry per pair.

    Attributes:
        iou_pre: (k,) of the pre sides, NaN where neither synapse has one.
        iou_post: (k,) of the post sides.
        whole_truth: (k,) bool, the truth synapse has both sides.
        whole_prediction: (k,) bool, the predicted one has.
        correct: (k,) bool, pre and post share more voxels with their like than with their
            opposite. A tie is no evidence and not correct.
    """

    iou_pre: np.ndarray
    iou_post: np.ndarray
    whole_truth: np.ndarray
    whole_prediction: np.ndarray
    correct: np.ndarray

    def fits(self, iou_threshold: float) -> np.ndarray:
        """(k,) bool: oriented correctly, and each side's IoU reaches the threshold."""
        pre, post = self.iou_pre >= iou_threshold, self.iou_post >= iou_threshold
        return self.whole_truth & self.correct & pre & post


def compare_sides(
    sides: ContingencyTable, truth_id: np.ndarray, prediction_id: np.ndarray
) -> SideComparison:
    """Compare the sides of pairs of synapses.

    Args:
        sides: What the side labels (2n-1, 2n) share.
        truth_id: (k,) uint64 synapse numbers, 0 for no synapse.
        prediction_id: (k,) likewise.
    """
    truth, prediction = _side_labels(truth_id), _side_labels(prediction_id)
    pair = (truth_id > 0) & (prediction_id > 0)
    truth_sizes = sides.truth.sizes_of(truth) * (truth_id > 0)
    prediction_sizes = sides.prediction.sizes_of(prediction) * (prediction_id > 0)
    same = sides.shared(truth, prediction) * pair
    crossed = sides.shared(truth, prediction[::-1]) * pair
    union = truth_sizes + prediction_sizes - same
    undefined = np.full(union.shape, np.nan)
    iou_pre, iou_post = np.divide(same, union, out=undefined, where=pair & (union > 0))
    whole_truth, whole_prediction = (np.all(s > 0, axis=0) for s in (truth_sizes, prediction_sizes))
    correct = pair & whole_prediction & (same.sum(0) > crossed.sum(0))
    return SideComparison(iou_pre, iou_post, whole_truth, whole_prediction, correct)


def _side_labels(synapse: np.ndarray) -> np.ndarray:
    """(2, k): the labels of the pre and the post side of each synapse number > 0."""
    post = 2 * synapse
    return np.stack([post - 1, post])
