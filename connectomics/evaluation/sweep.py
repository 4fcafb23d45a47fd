"""Scores at several IoU thresholds from one count over the voxels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

import numpy as np

from connectomics.errors import DataError
from connectomics.evaluation.bootstrap import bootstrap_intervals
from connectomics.evaluation.breakdown import scores_by_border, scores_by_size
from connectomics.evaluation.curve import PrecisionRecallCurve, precision_recall_curve
from connectomics.evaluation.detection import DetectionScores, detection_table, score_detection
from connectomics.evaluation.encoding import Encoding
from connectomics.evaluation.metric import INTERVAL, Edge, Metric
from connectomics.evaluation.pair import Pair
from connectomics.evaluation.polarity import PolarityScores, polarity_tables, score_polarity
from connectomics.evaluation.volumes import Labels

MEAN_THRESHOLDS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))
"""0.5, 0.55, ..., 0.95, over which scores are averaged (COCO; Lin et al. 2014)."""

S = TypeVar("S", PolarityScores, DetectionScores)


@dataclass(frozen=True)
class ThresholdSweep(Generic[S]):
    """One score at several thresholds; `+` pools volumes.

    Attributes:
        scores: At the thresholds asked for.
        strict: At `MEAN_THRESHOLDS`.
    """

    scores: tuple[S, ...]
    strict: tuple[S, ...]

    def at(self, iou_threshold: float) -> S:
        """The score at one of the thresholds asked for.

        Raises:
            DataError: It was not asked for.
        """
        for score in self.scores:
            if score.iou_threshold == iou_threshold:
                return score
        listed = ", ".join(str(score.iou_threshold) for score in self.scores)
        raise DataError(
            "evaluation: iou_threshold", f"there is no score at {iou_threshold}.", f"At: {listed}."
        )

    @property
    def mean(self) -> dict[str, float]:
        """Each number averaged over `MEAN_THRESHOLDS`, leaving out where it is undefined."""
        rows = [score.numbers() for score in self.strict]
        return {name: _mean([row[name] for row in rows]) for name in rows[0]}

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done to the volumes before counting."""
        return self.strict[0].notes

    def __add__(self, other: Self) -> Self:
        return type(self)(_add(self.scores, other.scores), _add(self.strict, other.strict))

    def as_dict(self) -> dict[str, Any]:
        """Every score by threshold with its intervals and its parts, and the mean."""
        at = {str(score.iou_threshold): _in_full(score) for score in self.scores}
        return {"at": at, "mean": self.mean, "mean_over": list(MEAN_THRESHOLDS)}

    def rows(self) -> list[dict[str, Any]]:
        """One line per threshold with the interval of its headline, and one for the mean."""
        lines = [{**score.row(), **_interval(score)} for score in self.scores]
        return [*lines, {"IoU": "mean", **_headed(self.strict[0].headings, self.mean)}]

    def match_rows(self) -> list[dict[str, Any]]:
        """The per-object matches at each threshold asked for."""
        return [
            {"iou_threshold": score.iou_threshold, **row}
            for score in self.scores
            for row in score.matches.rows()
        ]


@dataclass(frozen=True)
class PolaritySweep(ThresholdSweep[PolarityScores]):
    """Polarity scores at several thresholds, with what only they have.

    Attributes:
        curves: Precision and recall over confidence at the thresholds asked for; empty
            where synapses come without confidence.
    """

    curves: tuple[PrecisionRecallCurve, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """As `ThresholdSweep.notes`, and a doubt where most synapses are the wrong way round."""
        at_half = self.strict[0]
        if at_half.flipped <= at_half.correct:
            return super().notes
        return (
            *super().notes,
            f"{at_half.flipped} matched synapses are flipped and {at_half.correct} are not: are "
            "pre and post odd and even (or 1 and 2) in truth and prediction alike?",
        )

    def __add__(self, other: PolaritySweep) -> PolaritySweep:
        both = self.curves and other.curves
        return PolaritySweep(
            _add(self.scores, other.scores),
            _add(self.strict, other.strict),
            _add(self.curves, other.curves) if both else (),
        )

    def rows(self) -> list[dict[str, Any]]:
        """As `ThresholdSweep.rows`, with average precision."""
        lines = super().rows()
        for line, curve in zip(lines, self.curves, strict=False):
            line["AP_pol"] = curve.average_precision
        return lines

    def as_dict(self) -> dict[str, Any]:
        """As `ThresholdSweep.as_dict`, with average precision and how labels were stored."""
        result = super().as_dict()
        for curve in self.curves:
            f1, cutoff = curve.best_f1()
            result["at"][str(curve.iou_threshold)] |= {
                "average_precision": curve.average_precision,
                "best_f1_pol": {"f1": f1, "confidence": cutoff},
            }
        any_score = self.strict[0]
        return result | {
            "truth_encoding": any_score.truth_encoding,
            "prediction_encoding": any_score.prediction_encoding,
        }


def polarity_sweep(
    truth: Labels,
    prediction: Labels,
    *,
    iou_thresholds: Sequence[float] = (0.3, 0.5, 0.75),
    mask: Labels | None = None,
    ignore_border: bool = False,
    truth_encoding: Encoding = "auto",
    prediction_encoding: Encoding = "auto",
    confidence: Mapping[int, float] | None = None,
    dilate_sz: Edge = None,
) -> PolaritySweep:
    """`polarity_scores` at several thresholds.

    Args:
        truth: See `polarity_scores`.
        prediction: See `polarity_scores`.
        iou_thresholds: Where to score besides `MEAN_THRESHOLDS`.
        mask: See `polarity_scores`.
        ignore_border: See `polarity_scores`.
        truth_encoding: See `interpret`.
        prediction_encoding: See `interpret`.
        confidence: Of each predicted synapse by its number, for the precision-recall curve.
        dilate_sz: See `interpret`.
    """
    pair = Pair(truth, prediction, mask, truth_encoding, prediction_encoding, dilate_sz)
    tables = polarity_tables(pair)

    def scored(threshold: float) -> PolarityScores:
        return score_polarity(tables, threshold, ignore_border=ignore_border)

    curves = (
        ()
        if confidence is None
        else tuple(
            precision_recall_curve(tables, confidence, iou_threshold=t, ignore_border=ignore_border)
            for t in iou_thresholds
        )
    )
    return PolaritySweep(*_at_thresholds(scored, iou_thresholds), curves)


def detection_sweep(
    truth: Labels,
    prediction: Labels,
    *,
    iou_thresholds: Sequence[float] = (0.3, 0.5, 0.75),
    mask: Labels | None = None,
    ignore_border: bool = False,
    truth_encoding: Encoding = "auto",
    prediction_encoding: Encoding = "auto",
    dilate_sz: Edge = None,
) -> ThresholdSweep[DetectionScores]:
    """`detection_scores` at several thresholds.

    Args:
        truth: See `detection_scores`.
        prediction: See `detection_scores`.
        iou_thresholds: Where to score besides `MEAN_THRESHOLDS`.
        mask: See `detection_scores`.
        ignore_border: See `detection_scores`.
        truth_encoding: See `interpret`.
        prediction_encoding: See `interpret`.
        dilate_sz: See `interpret`.
    """
    pair = Pair(truth, prediction, mask, truth_encoding, prediction_encoding, dilate_sz)
    table = detection_table(pair)

    def scored(threshold: float) -> DetectionScores:
        return score_detection(table, threshold, ignore_border=ignore_border)

    return ThresholdSweep(*_at_thresholds(scored, iou_thresholds))


def _at_thresholds(
    scored: Callable[[float], S], thresholds: Sequence[float]
) -> tuple[tuple[S, ...], tuple[S, ...]]:
    known = {threshold: scored(threshold) for threshold in {*thresholds, *MEAN_THRESHOLDS}}
    return tuple(known[t] for t in thresholds), tuple(known[t] for t in MEAN_THRESHOLDS)


def _interval(score: PolarityScores | DetectionScores) -> dict[str, str]:
    low, high = bootstrap_intervals(score)[score.headline]
    shown = "-" if np.isnan(low) else f"{low:.2f}..{high:.2f}"
    return {f"95% {score.headings[score.headline]}": shown}


def _in_full(score: PolarityScores | DetectionScores) -> dict[str, Any]:
    sided = isinstance(score, PolarityScores)
    parts = {"by_size": scores_by_size, "by_border": scores_by_border}
    return {
        **score.as_dict(),
        "interval_95": bootstrap_intervals(score),
        **{
            name: [share.as_dict(sided=sided) for share in shares(score.matches)]
            for name, shares in parts.items()
        },
    }


def _headed(headings: Mapping[str, str], numbers: Mapping[str, float]) -> dict[str, Any]:
    return {headings[name]: value for name, value in numbers.items()}


def _mean(values: Sequence[float]) -> float:
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


def _add(first: tuple[Any, ...], second: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(a + b for a, b in zip(first, second, strict=True))


_SWEPT = "mean: over t = 0.50, 0.55, ..., 0.95;"

POLARITY = Metric(
    polarity_sweep,
    f"""one-to-one matching at IoU >= t; {_SWEPT}
F1_pol, the headline: oriented correctly and IoU >= t on each side; P_pol, R_pol: its precision,
recall; PQ: of F1_det; blind ignores which side is which, only for comparison; pol, det: TP/FP/FN;
sides: correct/flipped/one-sided; AP_pol: over confidence; {INTERVAL}""",
    sided_truth=True,
    sided_prediction=True,
    goals={name: name.lower() for name in ("F1_pol", "F1_pre", "F1_post", "side_accuracy")},
)

DETECTION = Metric(
    detection_sweep,
    f"one-to-one matching at IoU >= t, sides aside; {_SWEPT}\n{INTERVAL}",
    goals={"F1_det": "f1_det", "PQ": "pq"},
)
