"""How sure the scores are: intervals from resampled synapses."""

from __future__ import annotations

import numpy as np

from connectomics.evaluation.counts import Counts
from connectomics.evaluation.detection import DetectionScores
from connectomics.evaluation.polarity import PolarityScores


def bootstrap_intervals(
    scores: PolarityScores | DetectionScores,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Confidence intervals by resampling synapses.

    Rows (matched pairs, missed synapses, spurious predictions) are drawn with replacement,
    as many as there are, and the interval spans the middle `level` of the scores of such
    draws (percentile bootstrap, Efron 1979). It speaks of the chance in which synapses the
    volumes happen to hold, not of other brains or other networks. Where all rows fared alike
    (a perfect score, or 0), every draw is the same and tells nothing of how sure the score is:
    then there is no interval.

    Args:
        scores: Of one volume, or pooled.
        resamples: How many draws.
        level: The share of draws inside the interval, in (0, 1).
        seed: Of the random draws.

    Returns:
        Lower and upper bound of each of the five numbers of polarity, or of `f1_det`; NaN
        where there is no interval.
    """
    rng = np.random.default_rng(seed)
    if isinstance(scores, PolarityScores):
        drawn = _draw_polarity(scores, resamples, rng)
    else:
        drawn = {"f1_det": _f1(_resample(scores.matches.detection, resamples, rng))}
    return {name: _middle(values, level) for name, values in drawn.items()}


def _draw_polarity(
    scores: PolarityScores, resamples: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    matches = scores.matches
    sides = np.stack([matches.outcome == o for o in ("correct", "flipped", "one_sided")], axis=1)
    rows = np.concatenate([matches.detection, matches.polarity, sides], axis=1)
    drawn = _resample(rows, resamples, rng)
    correct, flipped, one_sided = drawn[:, 6:].T
    return {
        "f1_det": _f1(drawn[:, :3]),
        "side_accuracy": _ratio(correct, correct + flipped + one_sided),
        "f1_pol": _f1(drawn[:, 3:6]),
        "f1_pre": _f1(_resample(_rows_of(scores.pre), resamples, rng)),
        "f1_post": _f1(_resample(_rows_of(scores.post), resamples, rng)),
    }


def _rows_of(counts: Counts) -> np.ndarray:
    return np.repeat(np.eye(3, dtype=bool), [counts.tp, counts.fp, counts.fn], axis=0)


def _resample(rows: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Column sums of `resamples` draws of as many rows.

    Rows of one kind are alike, so drawing how many of each kind is the same and faster.
    """
    rows = rows[rows.any(1)]
    if not len(rows):
        return np.zeros((resamples, rows.shape[1]))
    kinds, count = np.unique(rows, axis=0, return_counts=True)
    return rng.multinomial(len(rows), count / len(rows), size=resamples) @ kinds.astype(int)


def _f1(counts: np.ndarray) -> np.ndarray:
    tp, fp, fn = counts.T
    return _ratio(2 * tp, 2 * tp + fp + fn)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def _middle(values: np.ndarray, level: float) -> tuple[float, float]:
    values = values[~np.isnan(values)]
    if not values.size:
        return float("nan"), float("nan")
    if values.min() == values.max():
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
