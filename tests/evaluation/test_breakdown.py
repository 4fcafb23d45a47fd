"""Scores by size and by border."""

from __future__ import annotations

import numpy as np
import pytest

from connectomics.errors import DataError
from connectomics.evaluation import (
    Counts,
    polarity_scores,
    pool,
    scores_by_border,
    scores_by_distance,
    scores_by_size,
)


def boxes(*synapses):
    """(3, 3, 40) with a pre and a post side of the middle section at x, of a width each."""
    labels = np.zeros((3, 3, 40), int)
    for n, (x, width) in enumerate(synapses, 1):
        labels[1, 1, x : x + width], labels[1, 1, x + width : x + 2 * width] = 2 * n - 1, 2 * n
    return labels


def test_rows_go_to_the_size_of_their_truth_or_else_their_own():
    truth = boxes((1, 1), (6, 3), (20, 6))
    prediction = np.where(truth > 4, 0, truth)  # the largest is missed
    prediction[1, 1, 35:38] = 9  # and one of 3 voxels invented
    matches = polarity_scores(truth, prediction).matches
    small, middle, large = scores_by_size(matches, (3, 6.5))
    assert (small.name, large.name) == ("0 <= voxels < 3", "6.5 <= voxels < inf")
    assert small.detection == Counts(1, 0, 0)
    assert middle.detection == middle.polarity == Counts(1, 1, 0)
    assert large.polarity == Counts(0, 0, 1)
    assert large.as_dict()["polarity"]["recall"] == 0


def test_the_parts_add_up_to_the_whole():
    truth = boxes((0, 1), (6, 2), (12, 3), (20, 4), (30, 5))
    scores = polarity_scores(truth, np.roll(truth, 1, axis=2))
    for parts in (scores_by_size(scores.matches), scores_by_border(scores.matches)):
        assert pool(part.polarity for part in parts) == scores.polarity
        assert pool(part.detection for part in parts) == scores.detection
    assert len(scores_by_size(scores.matches)) == 4


def test_border_and_inside():
    truth = boxes((0, 2), (10, 2))
    inside, border = scores_by_border(polarity_scores(truth, np.where(truth < 3, truth, 0)).matches)
    assert (inside.name, inside.polarity) == ("inside", Counts(0, 0, 1))
    assert (border.name, border.polarity) == ("border", Counts(1, 0, 0))


def test_distances_to_the_border():
    truth = boxes((0, 2), (6, 2), (14, 2), (24, 2))
    prediction = np.where(truth == 3, 0, truth)  # the second lacks a side
    prediction[prediction > 6] = 0  # and the last is missed
    matches = polarity_scores(truth, prediction, iou_threshold=0.4).matches
    away = np.array([0.0, 60.0, 140.0, 120.0])
    cut, near, far = scores_by_distance(matches, away, (100,))
    assert [part.name for part in (cut, near, far)] == [
        "cut",
        "0 <= distance < 100",
        "100 <= distance < inf",
    ]
    assert cut.polarity == Counts(1, 0, 0)
    assert near.detection == Counts(1, 0, 0)
    assert near.polarity == Counts(0, 1, 1)
    assert far.polarity == Counts(1, 0, 1)
    parts = scores_by_distance(matches, away)
    assert [part.detection.tp + part.detection.fn for part in parts] == [1, 3]
    assert [part.name for part in parts] == ["cut", "not cut"]
    parts = scores_by_distance(matches + matches, np.tile(away, 2))
    assert [part.detection.tp + part.detection.fn for part in parts] == [2, 2, 2, 2]


def test_equal_sizes_are_parted_once():
    truth = boxes((1, 2), (10, 2), (20, 2))
    below, all_of_them = scores_by_size(polarity_scores(truth, truth).matches)
    assert (below.detection.tp, all_of_them.detection.tp) == (0, 3)


def test_no_truth_has_no_quartiles():
    nothing = np.zeros((1, 1, 3), int)
    (everything,) = scores_by_size(polarity_scores(nothing, nothing).matches)
    assert everything.detection == Counts(0, 0, 0)


def test_edges_must_ascend():
    truth = boxes((1, 1))
    with pytest.raises(DataError, match="do not ascend"):
        scores_by_size(polarity_scores(truth, truth).matches, (5, 3))
