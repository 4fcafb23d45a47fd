"""Intervals from resampled synapses."""

from __future__ import annotations

import math

import numpy as np
import pytest

from connectomics.evaluation import (
    Counts,
    bootstrap_intervals,
    detection_scores,
    polarity_scores,
)


def scores_with(correct, flipped, missed, spurious):
    n = correct + flipped + missed + spurious
    pairs = np.arange(1, 2 * n + 1).reshape(n, 2)
    truth, prediction = pairs.copy(), pairs.copy()
    prediction[correct : correct + flipped] = pairs[correct : correct + flipped, ::-1]
    prediction[correct + flipped : correct + flipped + missed] = 0
    truth[n - spurious :] = 0
    return polarity_scores(truth.reshape(1, 1, -1), prediction.reshape(1, 1, -1))


def test_agrees_with_drawing_rows_one_by_one():
    scores = scores_with(30, 10, 15, 5)
    intervals = bootstrap_intervals(scores, resamples=4000, seed=1)
    rng = np.random.default_rng(2)
    rows = scores.matches.polarity
    drawn = rows[rng.integers(0, len(rows), (4000, len(rows)))].sum(1)
    f1 = 2 * drawn[:, 0] / (2 * drawn[:, 0] + drawn[:, 1] + drawn[:, 2])
    assert intervals["f1_pol"] == pytest.approx(np.quantile(f1, [0.025, 0.975]), abs=0.02)
    low, high = intervals["side_accuracy"]
    assert low < 30 / 40 < high


def test_the_interval_holds_the_score_and_narrows_with_more_synapses():
    few, many = scores_with(8, 2, 2, 2), scores_with(800, 200, 200, 200)
    widths = []
    for scores in (few, many):
        for name, (low, high) in bootstrap_intervals(scores).items():
            assert low < getattr(scores, name) < high
        low, high = bootstrap_intervals(scores)["f1_pol"]
        widths.append(high - low)
    assert widths[1] < widths[0] / 5


def test_a_seed_repeats_and_a_level_widens():
    scores = scores_with(20, 5, 5, 5)
    assert bootstrap_intervals(scores, seed=3) == bootstrap_intervals(scores, seed=3)
    low, high = bootstrap_intervals(scores, level=0.5)["f1_det"]
    wide_low, wide_high = bootstrap_intervals(scores, level=0.99)["f1_det"]
    assert wide_low < low < high < wide_high


@pytest.mark.parametrize("rows", [(3, 0, 0, 0), (0, 0, 4, 2), (0, 0, 0, 0)])
def test_where_all_fared_alike_there_is_no_interval(rows):
    """Three of three is no proof of 1.00..1.00."""
    intervals = bootstrap_intervals(scores_with(*rows))
    assert all(math.isnan(bound) for interval in intervals.values() for bound in interval)


def test_the_interval_of_a_score_without_sides():
    """Of 16 objects 8 are found, 4 missed, and 4 invented."""
    truth, prediction = np.arange(1, 17), np.arange(1, 17)
    truth[12:], prediction[8:12] = 0, 0
    shape = 1, 1, -1
    scores = detection_scores(truth.reshape(shape), prediction.reshape(shape))
    assert scores.detection == Counts(8, 4, 4)
    ((name, (low, high)),) = bootstrap_intervals(scores, resamples=4000).items()
    rng = np.random.default_rng(1)
    tp = rng.binomial(16, 0.5, 4000)
    assert name == "f1_det"
    expected = np.quantile(2 * tp / (tp + 16), [0.025, 0.975])
    assert (low, high) == pytest.approx(expected, abs=0.02)
