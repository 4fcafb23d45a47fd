"""Who was matched with whom, one row per synapse, and what each row counts as."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from connectomics.evaluation.contingency import ContingencyTable
from connectomics.evaluation.counts import Counts, SynapseCount
from connectomics.evaluation.matching import Matching, assign, match_objects
from connectomics.evaluation.sides import compare_sides


@dataclass(frozen=True, eq=False)
class Matches:
    """One row per matched pair, missed truth object and spurious prediction.

    Attributes:
        truth_id: (k,) uint64, 0 where a prediction has no partner.
        prediction_id: (k,) uint64, 0 where a truth object has no partner.
        truth_voxels: (k,) int64.
        prediction_voxels: (k,) int64.
        truth_touches_border: (k,) bool.
        prediction_touches_border: (k,) bool.
        iou_union: (k,) of the whole objects, NaN without a partner.
        iou_pre: (k,) of the pre sides, NaN without a partner or without sides.
        iou_post: (k,) of the post sides.
        outcome: (k,) of a pair `correct`, `flipped`, `one_sided` (the prediction lacks a
            side), `one_sided_truth`, or `matched` where sides were not looked at; else
            `missed`, `spurious`, or `ignored` for what the border cuts.
        near_id: (k,) uint64, of a missed truth object the spurious prediction that overlaps it,
            though too little, and of a spurious prediction that truth object; one-to-one, 0 for
            none.
        near_iou: (k,) their IoU, NaN for none.
        detection: (k, 3) bool, whether the row is a TP, an FP, an FN of detection.
        polarity: (k, 3) bool, the same for polarity; a wrong pair is both FP and FN.
    """

    truth_id: np.ndarray
    prediction_id: np.ndarray
    truth_voxels: np.ndarray
    prediction_voxels: np.ndarray
    truth_touches_border: np.ndarray
    prediction_touches_border: np.ndarray
    iou_union: np.ndarray
    iou_pre: np.ndarray
    iou_post: np.ndarray
    outcome: np.ndarray
    near_id: np.ndarray
    near_iou: np.ndarray
    detection: np.ndarray
    polarity: np.ndarray

    def __len__(self) -> int:
        return self.outcome.size

    def __add__(self, other: Matches) -> Matches:
        joined = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return Matches(*(np.concatenate(pair) for pair in joined))

    def selected(self, kept: np.ndarray) -> Matches:
        """The rows where `kept` (k,) bool is true."""
        return Matches(*(getattr(self, f.name)[kept] for f in fields(self)))

    @property
    def is_pair(self) -> np.ndarray:
        """(k,) bool, whether the row has both a truth object and a prediction."""
        return (self.truth_id > 0) & (self.prediction_id > 0)

    @property
    def truth_count(self) -> SynapseCount:
        """How many synapses the truth holds, those included that `ignore_border` leaves out."""
        return SynapseCount.of(self.truth_touches_border[self.truth_id > 0])

    @property
    def detection_counts(self) -> Counts:
        """TP, FP, FN of detection."""
        return Counts(*self.detection.sum(0).tolist())

    @property
    def polarity_counts(self) -> Counts:
        """TP, FP, FN of polarity."""
        return Counts(*self.polarity.sum(0).tolist())

    def count(self, outcome: str) -> int:
        """How many rows have this outcome."""
        return int(np.count_nonzero(self.outcome == outcome))

    def rows(self) -> list[dict[str, Any]]:
        """One dict per row, plain values, None for what a row does not have."""
        columns = [getattr(self, name).tolist() for name in MATCH_COLUMNS[:-1]]
        columns.append(self.polarity[:, 0].tolist())
        return [
            dict(zip(MATCH_COLUMNS, map(_none_if_nan, row), strict=True))
            for row in zip(*columns, strict=True)
        ]


MATCH_COLUMNS = (
    *(f.name for f in fields(Matches) if f.name not in ("detection", "polarity")),
    "polarity_tp",
)
"""What `Matches.rows` says of each row."""


def _none_if_nan(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def match_instances(
    table: ContingencyTable, iou_threshold: float, *, ignore_border: bool = False
) -> Matches:
    """Match objects without sides and say what each is.

    Args:
        table: What the two volumes share.
        iou_threshold: See `match_objects`.
        ignore_border: Objects that touch the border may match, so that they cost nobody
            anything, but count for nothing: a border truth object is neither TP nor FN,
            its partner no FP, and a border prediction is never an FP.
    """
    found = match_objects(table, iou_threshold)
    truth, prediction = table.truth, table.prediction
    truth_row, prediction_row = _rows(found, len(truth), len(prediction))
    has_truth, has_prediction = truth_row >= 0, prediction_row >= 0
    pair = has_truth & has_prediction
    truth_border = np.append(truth.touches_border, False)[truth_row]
    prediction_border = np.append(prediction.touches_border, False)[prediction_row]
    counted = has_truth & ~(truth_border & ignore_border)
    blamed = has_prediction & ~pair & ~(prediction_border & ignore_border)
    detection = np.stack([counted & pair, blamed, counted & ~pair], axis=1)
    outcome = np.select([pair, has_truth], ["matched", "missed"], "spurious").astype("U16")
    outcome[~detection.any(1)] = "ignored"
    undefined = np.full(outcome.size, np.nan)
    near_id, near_iou = _near(table, truth_row, prediction_row, outcome)
    return Matches(
        truth_id=np.append(truth.ids, np.uint64(0))[truth_row],
        prediction_id=np.append(prediction.ids, np.uint64(0))[prediction_row],
        truth_voxels=np.append(truth.sizes, 0)[truth_row],
        prediction_voxels=np.append(prediction.sizes, 0)[prediction_row],
        truth_touches_border=truth_border,
        prediction_touches_border=prediction_border,
        iou_union=np.append(found.iou, undefined[len(found) :]),
        iou_pre=undefined,
        iou_post=undefined,
        outcome=outcome,
        near_id=near_id,
        near_iou=near_iou,
        detection=detection,
        polarity=np.zeros_like(detection),
    )


def _rows(found: Matching, n_truth: int, n_prediction: int) -> tuple[np.ndarray, np.ndarray]:
    """Object rows of the matched pairs, the missed and the spurious; -1 for no partner."""
    missed = np.setdiff1d(np.arange(n_truth), found.truth_index)
    spurious = np.setdiff1d(np.arange(n_prediction), found.prediction_index)
    nobody = np.full(max(missed.size, spurious.size), -1)
    return (
        np.concatenate([found.truth_index, missed, nobody[: spurious.size]]),
        np.concatenate([found.prediction_index, nobody[: missed.size], spurious]),
    )


def _near(
    table: ContingencyTable, truth_row: np.ndarray, prediction_row: np.ndarray, outcome: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """See `Matches.near_id` and `near_iou`; `*_row` are those of `_rows`."""
    missed, spurious = np.flatnonzero(outcome == "missed"), np.flatnonzero(outcome == "spurious")
    at_truth = np.full(len(table.truth) + 1, -1)
    at_truth[truth_row[missed]] = missed
    at_prediction = np.full(len(table.prediction) + 1, -1)
    at_prediction[prediction_row[spurious]] = spurious
    first, second = at_truth[table.truth_index], at_prediction[table.prediction_index]
    edges = np.flatnonzero((first >= 0) & (second >= 0))
    iou = table.iou()[edges]
    chosen = assign(first[edges], second[edges], iou, most_pairs=False)
    one, other = first[edges][chosen], second[edges][chosen]
    near_id, near_iou = np.zeros(outcome.size, np.uint64), np.full(outcome.size, np.nan)
    near_id[one] = table.prediction.ids[prediction_row[other]]
    near_id[other] = table.truth.ids[truth_row[one]]
    near_iou[one] = near_iou[other] = iou[chosen]
    return near_id, near_iou


def match_sides(
    matches: Matches, sides: ContingencyTable, iou_threshold: float, *, ignore_border: bool = False
) -> Matches:
    """Say of each row what it is worth once the sides are looked at.

    A polarity TP is a pair that is oriented correctly and whose sides each reach the
    threshold; any other pair is an FP and an FN. A truth synapse with one side has no
    orientation to get right: its row counts for nothing here.

    Args:
        matches: Rows of `match_instances` on synapse numbers.
        sides: What the side labels (2n-1, 2n) share.
        iou_threshold: The smallest IoU of a side.
        ignore_border: As in `match_instances`.
    """
    compared = compare_sides(sides, matches.truth_id, matches.prediction_id)
    counted = compared.whole_truth & ~(matches.truth_touches_border & ignore_border)
    hit = counted & compared.fits(iou_threshold)
    missed = counted & ~hit
    blamed = (matches.prediction_id > 0) & ~(matches.prediction_touches_border & ignore_border)
    blamed &= ~matches.is_pair | missed
    verdict = np.select(
        [~compared.whole_truth, ~compared.whole_prediction, compared.correct],
        ["one_sided_truth", "one_sided", "correct"],
        "flipped",
    )
    return replace(
        matches,
        iou_pre=compared.iou_pre,
        iou_post=compared.iou_post,
        outcome=np.where(matches.outcome == "matched", verdict, matches.outcome),
        polarity=np.stack([hit, blamed, missed], axis=1),
    )
