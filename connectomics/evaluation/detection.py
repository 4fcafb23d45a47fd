"""Finding objects without sides: synaptic clefts, or synapses by the union of their sides."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

from connectomics.evaluation.contingency import ContingencyTable, Key
from connectomics.evaluation.counting import contingency_table
from connectomics.evaluation.counts import Counts, SynapseCount, check_same_threshold, ratio
from connectomics.evaluation.encoding import SIDED, Encoding, Interpretation, interpret
from connectomics.evaluation.matches import Matches, match_instances
from connectomics.evaluation.pair import Pair
from connectomics.evaluation.sides import synapse_number
from connectomics.evaluation.volumes import Labels


@dataclass(frozen=True, eq=False)
class DetectionTable:
    """What two volumes of objects share.

    Attributes:
        objects: The contingency table.
        notes: What was done to the volumes before counting.
    """

    objects: ContingencyTable
    notes: tuple[str, ...]


@dataclass(frozen=True)
class DetectionScores:
    """Scores of one or more volumes at one IoU threshold; `+` pools volumes.

    Attributes:
        iou_threshold: The smallest IoU of a match.
        detection: Objects found, invented and missed.
        matched_iou: Sum of the IoU of the TPs.
        notes: What was done to the volumes before counting.
        matches: The rows behind the numbers.
    """

    iou_threshold: float
    detection: Counts
    matched_iou: float
    notes: tuple[str, ...] = ()
    matches: Matches = field(repr=False, compare=False, kw_only=True)

    headings: ClassVar[dict[str, str]] = {
        "f1_det": "F1_det",
        "precision": "precision",
        "recall": "recall",
        "pq": "PQ",
    }
    headline: ClassVar[str] = "f1_det"

    @property
    def f1_det(self) -> float:
        """F1 of one-to-one matching."""
        return self.detection.f1

    @property
    def pq(self) -> float:
        """Panoptic quality (Kirillov et al. 2019)."""
        counts = self.detection
        return ratio(self.matched_iou, counts.tp + counts.fp / 2 + counts.fn / 2)

    def numbers(self) -> dict[str, float]:
        """F1, precision, recall and PQ."""
        counts = self.detection
        return {
            "f1_det": counts.f1,
            "precision": counts.precision,
            "recall": counts.recall,
            "pq": self.pq,
        }

    def row(self) -> dict[str, Any]:
        """A line of the score table."""
        numbers = {self.headings[name]: value for name, value in self.numbers().items()}
        return {"IoU": f"{self.iou_threshold:g}", **numbers, "TP/FP/FN": str(self.detection)}

    def __add__(self, other: DetectionScores) -> DetectionScores:
        check_same_threshold(self.iou_threshold, other.iou_threshold)
        return DetectionScores(
            self.iou_threshold,
            self.detection + other.detection,
            self.matched_iou + other.matched_iou,
            tuple(dict.fromkeys(self.notes + other.notes)),
            matches=self.matches + other.matches,
        )

    def as_dict(self) -> dict[str, Any]:
        """Scores and the counts behind them."""
        counts = {"detection": self.detection.as_dict()}
        return {"iou_threshold": self.iou_threshold, **self.numbers(), "counts": counts}


def detection_scores(
    truth: Labels,
    prediction: Labels,
    *,
    iou_threshold: float = 0.5,
    mask: Labels | None = None,
    ignore_border: bool = False,
    truth_encoding: Encoding = "auto",
    prediction_encoding: Encoding = "auto",
    dilate_sz: int | None = None,
) -> DetectionScores:
    """Match objects one-to-one and count who was found.

    Args:
        truth: (Z, Y, X) labels, one id per object. Polarity labels count by synapse, both
            sides together; semantic and binary ones are grouped into objects first.
        prediction: (Z, Y, X) labels likewise.
        iou_threshold: The smallest IoU of a match.
        mask: (Z, Y, X), 0 where voxels are unlabelled and do not exist.
        ignore_border: Let objects cut by the border (or by the mask) match but not count.
        truth_encoding: See `interpret`; `auto` takes them for instance or binary labels, and
            for labels with sides where the other volume is said to have sides.
        prediction_encoding: The same for the prediction.
        dilate_sz: Grouping of semantic or binary labels, see `interpret`.

    Raises:
        DataError: Float or negative labels, shapes that differ, a threshold outside (0, 1].

    >>> import numpy as np
    >>> truth = np.array([[[1, 1, 1, 0, 2, 2]]])
    >>> prediction = np.array([[[5, 5, 0, 0, 0, 7]]])  # IoU 2/3 and 1/2
    >>> detection_scores(truth, prediction, iou_threshold=0.6).detection
    Counts(tp=1, fp=1, fn=1)
    """
    pair = Pair(truth, prediction, mask, truth_encoding, prediction_encoding, dilate_sz)
    return score_detection(detection_table(pair), iou_threshold, ignore_border=ignore_border)


def detection_table(pair: Pair) -> DetectionTable:
    """Count once what two volumes of objects share, for scores at any threshold.

    Raises:
        DataError: As `detection_scores`.
    """
    stored = pair.truth_encoding, pair.prediction_encoding
    options = {"mask": pair.mask, "dilate_sz": pair.dilate_sz}
    first = interpret("truth", pair.truth, stored[0], sided=stored[1] in SIDED, **options)
    second = interpret(
        "prediction", pair.prediction, stored[1], sided=stored[0] in SIDED, **options
    )
    table = contingency_table(first.labels, second.labels, mask=pair.mask)
    return DetectionTable(table.merged(_key(first), _key(second)), first.notes + second.notes)


def count_synapses(
    labels: Labels, encoding: Encoding, *, sided: bool, mask: Labels | None = None
) -> SynapseCount:
    """Count the synapses of a label volume as a truth is counted by the scores.

    Args:
        labels: (Z, Y, X) integers; 0 is background.
        encoding: How they are stored.
        sided: Whether sides are looked for where the encoding is `auto`.
        mask: (Z, Y, X); voxels where it is 0 do not count.

    Raises:
        DataError: As `interpret`.

    >>> import numpy as np
    >>> count_synapses(np.array([[[1, 2, 0, 3, 0, 4, 0]]]), "polarity", sided=True)
    SynapseCount(number=2, cut=1)
    """
    found = interpret("truth", labels, encoding, sided=sided, mask=mask)
    table = contingency_table(found.labels, found.labels, mask=mask)
    objects = table.merged(_key(found), _key(found)).truth
    return SynapseCount.of(objects.touches_border)


def _key(volume: Interpretation) -> Key:
    return synapse_number if volume.encoding in SIDED else lambda ids: ids


def score_detection(
    table: DetectionTable, iou_threshold: float, *, ignore_border: bool = False
) -> DetectionScores:
    """The scores at one threshold, without touching a voxel again.

    Args:
        table: From `detection_table`.
        iou_threshold: See `detection_scores`.
        ignore_border: See `detection_scores`.
    """
    matches = match_instances(table.objects, iou_threshold, ignore_border=ignore_border)
    return DetectionScores(
        iou_threshold,
        matches.detection_counts,
        math.fsum(matches.iou_union[matches.detection[:, 0]]),
        table.notes,
        matches=matches,
    )
