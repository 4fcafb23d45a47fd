"""Precision and recall as the confidence cutoff falls, and the area below."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from connectomics.errors import DataError
from connectomics.evaluation.counts import check_same_threshold, ratio
from connectomics.evaluation.sides import PolarityTables, compare_sides


@dataclass(frozen=True, eq=False)
class PrecisionRecallCurve:
    """What a detector finds when it shows only what it is sure of; `+` pools volumes.

    Attributes:
        iou_threshold: The smallest IoU of a match.
        confidence: (k,) of each prediction that counts, descending.
        is_tp: (k,) bool, whether it found a truth synapse that none above it had found.
        n_truth: Truth synapses that count.
    """

    iou_threshold: float
    confidence: np.ndarray
    is_tp: np.ndarray
    n_truth: int

    def points(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Cutoff, precision and recall at each distinct confidence, (m,) each."""
        last = np.flatnonzero(np.append(np.diff(self.confidence) != 0, True)[: self.is_tp.size])
        found = np.cumsum(self.is_tp)[last]
        recall = found / self.n_truth if self.n_truth else np.full(last.size, np.nan)
        return self.confidence[last], found / (last + 1), recall

    @property
    def average_precision(self) -> float:
        """Area under the curve, precision made non-increasing (PASCAL VOC 2010).

        NaN without truth and predictions, 0 where only one of them is empty.
        """
        if not self.n_truth:
            return 0.0 if self.is_tp.size else math.nan
        _, precision, recall = self.points()
        best_to_the_right = np.maximum.accumulate(precision[::-1])[::-1]
        return float(np.diff(recall, prepend=0) @ best_to_the_right)

    def best_f1(self) -> tuple[float, float]:
        """The largest F1 on the curve and the cutoff that reaches it (NaN if empty)."""
        cutoff, precision, recall = self.points()
        if not cutoff.size or not self.n_truth:
            return ratio(0, self.n_truth + self.is_tp.size), math.nan
        total = precision + recall
        f1 = np.divide(2 * precision * recall, total, out=np.zeros(total.size), where=total > 0)
        return float(f1.max()), float(cutoff[f1.argmax()])

    def __add__(self, other: PrecisionRecallCurve) -> PrecisionRecallCurve:
        check_same_threshold(self.iou_threshold, other.iou_threshold)
        confidence = np.concatenate([self.confidence, other.confidence])
        order = np.argsort(-confidence, kind="stable")
        is_tp = np.concatenate([self.is_tp, other.is_tp])[order]
        n_truth = self.n_truth + other.n_truth
        return PrecisionRecallCurve(self.iou_threshold, confidence[order], is_tp, n_truth)


def precision_recall_curve(
    tables: PolarityTables,
    confidence: Mapping[int, float],
    *,
    iou_threshold: float = 0.5,
    score: Literal["polarity", "detection"] = "polarity",
    ignore_border: bool = False,
) -> PrecisionRecallCurve:
    """Rank predicted synapses by confidence and say which of them find something.

    Predictions enter in the order of their confidence. One is a TP if with it one more
    truth synapse can be matched than without, whatever the pairs of those before it are
    turned into; so at every cutoff the TPs are as many as a matching of the synapses above
    it has. Above an IoU of 0.5, where partners are unique, the end of the curve is the
    `polarity` (or `detection`) count of `score_polarity`.

    Args:
        tables: From `polarity_tables`.
        confidence: Of each predicted synapse, by its number.
        iou_threshold: The smallest IoU of a match, for `polarity` also of each side.
        score: What makes a TP, see `PolarityScores`.
        ignore_border: See `polarity_scores`.

    Raises:
        DataError: A synapse has no confidence, or one that is not finite.

    >>> from connectomics.evaluation import Pair, polarity_tables
    >>> truth = np.array([[[1, 2, 0, 3, 4, 0, 0]]])
    >>> prediction = np.array([[[1, 2, 0, 3, 4, 5, 6]]])
    >>> tables = polarity_tables(Pair(truth, prediction))
    >>> curve = precision_recall_curve(tables, {1: 0.9, 2: 0.5, 3: 0.8})
    >>> curve.is_tp.tolist(), round(curve.average_precision, 3)
    ([True, False, True], 0.833)
    """
    table = tables.synapses
    scores = _confidences(table.prediction.ids, confidence)
    edges = np.flatnonzero(table.iou() >= iou_threshold)
    truth, prediction = table.truth_index[edges], table.prediction_index[edges]
    counted = ~(table.truth.touches_border & ignore_border)
    good = np.ones(edges.size, bool)
    if score == "polarity":
        compared = compare_sides(
            tables.sides, table.truth.ids[truth], table.prediction.ids[prediction]
        )
        good = compared.fits(iou_threshold)
        whole = np.isin(table.truth.ids, tables.pre.truth.ids)
        counted &= whole & np.isin(table.truth.ids, tables.post.truth.ids)
    good &= counted[truth]
    order = np.argsort(-scores, kind="stable")
    finds = _augment(order, _neighbours(len(table.prediction), prediction[good], truth[good]))
    absorbing = ~counted[truth]
    forgiven = np.isin(np.arange(scores.size), prediction[absorbing])
    forgiven |= table.prediction.touches_border & ignore_border
    kept = order[finds[order] | ~forgiven[order]]
    return PrecisionRecallCurve(
        iou_threshold, scores[kept], finds[kept], int(np.count_nonzero(counted))
    )


def _confidences(ids: np.ndarray, confidence: Mapping[int, float]) -> np.ndarray:
    absent = [i for i in ids.tolist() if i not in confidence]
    if absent:
        raise DataError(
            "evaluation: confidence",
            f"{len(absent)} predicted synapses have none, such as number {absent[0]}.",
            "Give one for every synapse of the prediction; synapse n has labels 2n-1 and 2n.",
        )
    values = np.array([confidence[i] for i in ids.tolist()], dtype=float)
    wrong = np.flatnonzero(~np.isfinite(values))
    if wrong.size:
        raise DataError(
            "evaluation: confidence",
            f"that of synapse {ids[wrong[0]]} is {values[wrong[0]]}.",
            "Give a finite number.",
        )
    return values


def _neighbours(count: int, left: np.ndarray, right: np.ndarray) -> Sequence[Sequence[int]]:
    lists: list[list[int]] = [[] for _ in range(count)]
    for node, neighbour in zip(left.tolist(), right.tolist(), strict=True):
        lists[node].append(neighbour)
    return lists


def _augment(order: np.ndarray, neighbours: Sequence[Sequence[int]]) -> np.ndarray:
    """Grow a matching node by node along augmenting paths (Kuhn 1955).

    A node that was matched stays matched, so the answer for the first k nodes is the size
    of the largest matching of those k.

    Returns:
        (n,) bool, whether the matching grew when the node came.
    """
    grew = np.zeros(len(neighbours), bool)
    partner: dict[int, int] = {}
    held: dict[int, int] = {}
    for node in order.tolist():
        end, reached_from = _search(node, neighbours, partner)
        grew[node] = end is not None
        while end is not None:  # each node on the path lets go of one and takes the next
            current = reached_from[end]
            released = held.get(current)
            partner[end], held[current] = current, end
            end = released
    return grew


def _search(
    node: int, neighbours: Sequence[Sequence[int]], partner: Mapping[int, int]
) -> tuple[int | None, dict[int, int]]:
    """A free neighbour at the end of an alternating path, and the way back to `node`."""
    reached_from: dict[int, int] = {}
    queue = deque([node])
    while queue:
        current = queue.popleft()
        for other in neighbours[current]:
            if other in reached_from:
                continue
            reached_from[other] = current
            if other not in partner:
                return other, reached_from
            queue.append(partner[other])
    return None, reached_from
