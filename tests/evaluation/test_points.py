"""Points within a radius."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomics.errors import DataError
from connectomics.evaluation import Counts, match_points


def test_as_many_as_possible_then_the_nearest():
    truth = np.array([[0, 0, 0], [0, 0, 100.0]])
    prediction = np.array([[0, 0, 60.0], [0, 0, 150]])
    # 60 is nearer to 100, but then 0 would go unfound: 60-0 and 150-100.
    found = match_points(truth, prediction, radius_nm=60)
    assert found.counts == Counts(2, 0, 0)
    assert found.prediction_index.tolist() == [0, 1]
    assert found.distance_nm.tolist() == [60, 50]
    assert match_points(truth, prediction, radius_nm=59).distance_nm.tolist() == [40]


def test_nothing():
    point = np.zeros((1, 3))
    assert match_points([], [], radius_nm=1).counts == Counts(0, 0, 0)
    assert match_points(point, [], radius_nm=1).counts == Counts(0, 0, 1)
    assert match_points([], point, radius_nm=1).counts == Counts(0, 1, 0)
    assert match_points(point, point, radius_nm=1).counts == Counts(1, 0, 0)


positions = st.lists(st.tuples(*[st.integers(0, 6)] * 3), max_size=4)


@settings(max_examples=60, deadline=None)
@given(positions, positions, st.sampled_from([1, 2.5, 4]))
def test_agrees_with_trying_every_matching(truth, prediction, radius):
    best = (0, 0.0)
    small, large = sorted((truth, prediction), key=len)
    for chosen in itertools.permutations(range(len(large)), len(small)):
        distance = [np.linalg.norm(np.subtract(small[i], large[j])) for i, j in enumerate(chosen)]
        near = [d for d in distance if d <= radius]
        best = max(best, (len(near), -sum(near)))
    found = match_points(np.array(truth, float), np.array(prediction, float), radius_nm=radius)
    assert found.counts.tp == best[0]
    assert found.distance_nm.sum() == pytest.approx(-best[1], abs=1e-9)


@pytest.mark.parametrize(
    ("points", "radius", "said"),
    [
        (np.zeros((2, 2)), 1, "shape \\(2, 2\\)"),
        (np.array([[0, 0, np.nan]]), 1, "is not finite"),
        (np.zeros((1, 3)), 0, "not positive"),
        (np.zeros((1, 3)), float("nan"), "not positive"),
    ],
)
def test_points_that_are_none(points, radius, said):
    with pytest.raises(DataError, match=said):
        match_points(points, np.zeros((1, 3)), radius_nm=radius)
