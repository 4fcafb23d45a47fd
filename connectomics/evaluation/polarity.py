"""The five numbers of synaptic polarity, from one count over the voxels."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from connectomics.evaluation.contingency import ContingencyTable
from connectomics.evaluation.counts import Counts, check_same_threshold, ratio
from connectomics.evaluation.encoding import Encoding
from connectomics.evaluation.matches import Matches, match_instances, match_sides
from connectomics.evaluation.pair import Pair
from connectomics.evaluation.sides import PolarityTables, polarity_tables
from connectomics.evaluation.volumes import Labels


@dataclass(frozen=True)
class PolarityScores:
    """Scores of one or more volumes at one IoU threshold; `+` pools volumes.

    Attributes:
        iou_threshold: The smallest IoU of a match.
        detection: Synapses found, sides aside.
        polarity: Synapses found, oriented correctly, with both sides in place.
        pre: Pre sides found, on their own.
        post: Post sides found, on their own.
        unordered: Sides found whichever side they are: the counts behind `blind`.
        correct: Matched synapses oriented as the truth.
        flipped: Matched synapses oriented the other way.
        one_sided: Matched synapses that lack a side which the truth has.
        matched_iou: Sum of the IoU of detection TPs.
        truth_encoding: How the truth was stored.
        prediction_encoding: How the prediction was stored.
        notes: What was done to the volumes before counting.
        matches: The rows behind the numbers.
    """

    iou_threshold: float
    detection: Counts
    polarity: Counts
    pre: Counts
    post: Counts
    unordered: Counts
    correct: int
    flipped: int
    one_sided: int
    matched_iou: float
    truth_encoding: str
    prediction_encoding: str
    notes: tuple[str, ...] = ()
    matches: Matches = field(repr=False, compare=False, kw_only=True)

    headings: ClassVar[dict[str, str]] = {
        "f1_det": "F1_det",
        "side_accuracy": "side acc",
        "f1_pol": "F1_pol",
        "f1_pre": "F1_pre",
        "f1_post": "F1_post",
        "precision_pol": "P_pol",
        "recall_pol": "R_pol",
        "pq": "PQ",
        "blind": "blind",
    }
    headline: ClassVar[str] = "f1_pol"

    @property
    def f1_det(self) -> float:
        """F1 of finding synapses, by the union of their sides."""
        return self.detection.f1

    @property
    def side_accuracy(self) -> float:
        """Share of matched synapses oriented correctly; NaN without matches."""
        return ratio(self.correct, self.correct + self.flipped + self.one_sided)

    @property
    def f1_pol(self) -> float:
        """The headline: F1 where a match must be oriented correctly and fit on both sides."""
        return self.polarity.f1

    @property
    def f1_pre(self) -> float:
        """F1 of the pre sides alone."""
        return self.pre.f1

    @property
    def f1_post(self) -> float:
        """F1 of the post sides alone."""
        return self.post.f1

    @property
    def blind(self) -> float:
        """F1 of sides as unordered objects, only for comparison with scores that do so.

        Blind to polarity: a prediction with every side swapped scores 1.0.
        """
        return self.unordered.f1

    @property
    def pq(self) -> float:
        """Panoptic quality of detection (Kirillov et al. 2019): sum of IoU per mean size."""
        counts = self.detection
        return ratio(self.matched_iou, counts.tp + counts.fp / 2 + counts.fn / 2)

    def numbers(self) -> dict[str, float]:
        """The five numbers in their order, what F1_pol is made of, PQ, and the blind score last."""
        return {
            "f1_det": self.f1_det,
            "side_accuracy": self.side_accuracy,
            "f1_pol": self.f1_pol,
            "f1_pre": self.f1_pre,
            "f1_post": self.f1_post,
            "precision_pol": self.polarity.precision,
            "recall_pol": self.polarity.recall,
            "pq": self.pq,
            "blind": self.blind,
        }

    def __str__(self) -> str:
        numbers = (f"{self.headings[n]} {value:.3f}" for n, value in self.numbers().items())
        return f"IoU >= {self.iou_threshold:g}: {', '.join(numbers)}"

    def row(self) -> dict[str, Any]:
        """A line of the score table."""
        numbers = {self.headings[name]: value for name, value in self.numbers().items()}
        return {
            "IoU": f"{self.iou_threshold:g}",
            **numbers,
            "pol": str(self.polarity),
            "det": str(self.detection),
            "sides": f"{self.correct}/{self.flipped}/{self.one_sided}",
        }

    def __add__(self, other: PolarityScores) -> PolarityScores:
        check_same_threshold(self.iou_threshold, other.iou_threshold)
        counts = ("detection", "polarity", "pre", "post", "unordered")
        sums = ("correct", "flipped", "one_sided", "matched_iou", "matches")
        return replace(
            self,
            **{name: getattr(self, name) + getattr(other, name) for name in counts + sums},
            truth_encoding=_joined(self.truth_encoding, other.truth_encoding),
            prediction_encoding=_joined(self.prediction_encoding, other.prediction_encoding),
            notes=tuple(dict.fromkeys(self.notes + other.notes)),
        )

    def as_dict(self) -> dict[str, Any]:
        """Scores, the counts behind each, and how the volumes were read."""
        counts = {
            "detection": self.detection.as_dict(),
            "sides": {
                "correct": self.correct,
                "flipped": self.flipped,
                "one_sided": self.one_sided,
            },
            "polarity": self.polarity.as_dict(),
            "pre": self.pre.as_dict(),
            "post": self.post.as_dict(),
            "blind": self.unordered.as_dict(),
        }
        return {"iou_threshold": self.iou_threshold, **self.numbers(), "counts": counts}


def _joined(first: str, second: str) -> str:
    return first if first == second else "mixed"


def polarity_scores(
    truth: Labels,
    prediction: Labels,
    *,
    iou_threshold: float = 0.5,
    mask: Labels | None = None,
    ignore_border: bool = False,
    truth_encoding: Encoding = "auto",
    prediction_encoding: Encoding = "auto",
    dilate_sz: int | None = None,
) -> PolarityScores:
    """Score predicted synapses with their polarity against the truth.

    Args:
        truth: (Z, Y, X) labels: pre voxels of synapse n carry 2n-1, post voxels 2n; or
            semantic, 1 = pre and 2 = post, which are grouped into synapses first.
        prediction: (Z, Y, X) labels likewise.
        iou_threshold: Synapses match one-to-one where the IoU of their unions is at least
            this; polarity asks the same of each side.
        mask: (Z, Y, X), 0 where voxels are unlabelled and do not exist.
        ignore_border: Let synapses cut by the border (or by the mask) match but not count.
        truth_encoding: `polarity`, `semantic`, or `auto` (see `interpret`).
        prediction_encoding: The same for the prediction.
        dilate_sz: Grouping of semantic labels, see `interpret`.

    Raises:
        DataError: Float or negative labels, shapes that differ, labels without sides, or a
            threshold outside (0, 1].

    >>> import numpy as np
    >>> truth = np.array([[[1, 1, 2, 2, 0, 0, 3, 3, 4, 4]]])
    >>> prediction = np.array([[[1, 1, 2, 2, 0, 0, 4, 4, 3, 3]]])  # the second is flipped
    >>> scores = polarity_scores(truth, prediction)
    >>> scores.f1_det, scores.side_accuracy, scores.f1_pol, scores.blind
    (1.0, 0.5, 0.5, 1.0)
    >>> scores.polarity
    Counts(tp=1, fp=1, fn=1)
    """
    pair = Pair(truth, prediction, mask, truth_encoding, prediction_encoding, dilate_sz)
    return score_polarity(polarity_tables(pair), iou_threshold, ignore_border=ignore_border)


def score_polarity(
    tables: PolarityTables, iou_threshold: float, *, ignore_border: bool = False
) -> PolarityScores:
    """The scores at one threshold, without touching a voxel again.

    Args:
        tables: From `polarity_tables`.
        iou_threshold: See `polarity_scores`.
        ignore_border: See `polarity_scores`.
    """

    def matched(table: ContingencyTable) -> Matches:
        return match_instances(table, iou_threshold, ignore_border=ignore_border)

    matches = match_sides(
        matched(tables.synapses), tables.sides, iou_threshold, ignore_border=ignore_border
    )
    return PolarityScores(
        iou_threshold=iou_threshold,
        detection=matches.detection_counts,
        polarity=matches.polarity_counts,
        pre=matched(tables.pre).detection_counts,
        post=matched(tables.post).detection_counts,
        unordered=matched(tables.sides).detection_counts,
        correct=matches.count("correct"),
        flipped=matches.count("flipped"),
        one_sided=matches.count("one_sided"),
        matched_iou=math.fsum(matches.iou_union[matches.detection[:, 0]]),
        truth_encoding=tables.truth_encoding,
        prediction_encoding=tables.prediction_encoding,
        notes=tables.notes,
        matches=matches,
    )
