"""CREMI's two scores against distance transforms and against trying every matching."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import distance_transform_edt

from connectomics.errors import DataError
from connectomics.evaluation import (
    Counts,
    Partners,
    cremi_clefts,
    cremi_partners,
    distances,
    pool,
)

RESOLUTION = (40.0, 4.0, 4.0)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(bool, (4, 6, 7)),
    hnp.arrays(bool, (4, 6, 7)),
    st.sampled_from([(40, 4, 4), (30, 8, 8), (1, 1, 1)]),
    st.sampled_from([0, 2, 10**6]),
)
def test_agrees_with_distance_transforms(truth, prediction, resolution, look_up):
    """Looked up in a tree, taken from a transform, or each for one direction."""
    truth[0, 0, 0] = prediction[3, 5, 6] = True
    to_truth = distance_transform_edt(~truth, sampling=resolution)[prediction]
    to_prediction = distance_transform_edt(~prediction, sampling=resolution)[truth]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distances, "LOOK_UP", look_up)
        clefts = cremi_clefts(truth, prediction, resolution=resolution, max_distance_nm=10)
    assert clefts.adgt == pytest.approx(to_truth.mean())
    assert clefts.adf == pytest.approx(to_prediction.mean())
    assert clefts.score == pytest.approx((to_truth.mean() + to_prediction.mean()) / 2)
    assert (clefts.fp, clefts.fn) == ((to_truth > 10).sum(), (to_prediction > 10).sum())


def test_anisotropic_distances_by_hand():
    truth, prediction = np.zeros((2, 8, 1, 60), np.uint8)
    truth[0, 0, 0] = 7
    prediction[5, 0, 0], prediction[6, 0, 0], prediction[0, 0, 50] = 1, 1, 2
    clefts = cremi_clefts(truth, prediction, resolution=RESOLUTION)
    assert clefts.adgt == (200 + 240 + 200) / 3
    assert (clefts.adf, clefts.fp, clefts.fn) == (200, 1, 0)  # 200 nm is not farther than 200


def test_empty_volumes():
    nothing, cleft = np.zeros((2, 2, 2), int), np.ones((2, 2, 2), int)
    no_prediction = cremi_clefts(cleft, nothing, resolution=RESOLUTION)
    assert (no_prediction.score, no_prediction.adgt, no_prediction.adf) == (math.inf,) * 3
    assert (no_prediction.fp, no_prediction.fn) == (0, 8)
    no_truth = cremi_clefts(nothing, cleft, resolution=RESOLUTION)
    assert (no_truth.score, no_truth.fp, no_truth.fn) == (math.inf, 8, 0)
    neither = cremi_clefts(nothing, nothing, resolution=RESOLUTION)
    assert math.isnan(neither.score)
    perfect = cremi_clefts(cleft, cleft, resolution=RESOLUTION)
    assert perfect.score == pool([perfect, neither]).score == 0
    assert pool([perfect, no_prediction]).score == math.inf
    assert perfect.as_dict()["voxels"] == {"predicted": 8, "true": 8}
    assert perfect.notes == ()


def test_pooling_averages_over_voxels():
    truth = np.array([[[1, 0, 0]]])
    near, far = np.array([[[0, 1, 0]]]), np.array([[[1, 0, 1]]])
    scores = [cremi_clefts(truth, p, resolution=(1, 1, 1)) for p in (near, far)]
    assert pool(scores).adgt == (1 + 0 + 2) / 3


def test_unlabelled_voxels_hold_no_cleft():
    truth, prediction = np.array([[[1, 0, 1]]]), np.array([[[1, 0, 0]]])
    mask = np.array([[[1, 1, 0]]])
    assert cremi_clefts(truth, prediction, resolution=(1, 1, 1), mask=mask).score == 0


def test_the_marks_of_the_challenge():
    """Background has to be 0; voxels marked invalid are not there, on either side."""
    raw = np.array([[[2**64 - 1, 5, 2**64 - 1, 2**64 - 2]]], np.uint64)
    prediction = np.array([[[0, 1, 0, 1]]])
    with pytest.raises(DataError, match="CREMI's marks"):
        cremi_clefts(raw, prediction, resolution=RESOLUTION)
    truth, mask = np.where(raw == 2**64 - 1, np.uint64(0), raw), raw != 2**64 - 2
    with pytest.raises(DataError, match="CREMI's marks"):
        cremi_clefts(truth, prediction, resolution=RESOLUTION)
    clefts = cremi_clefts(truth, prediction, resolution=RESOLUTION, mask=mask)
    assert (clefts.score, clefts.predicted_voxels, clefts.true_voxels) == (0, 1, 1)


def partners(*rows):
    """Rows of (pre x, post x, pre neuron, post neuron), in nm along one axis."""
    points = np.zeros((2, len(rows), 3))
    points[..., 2] = np.array([row[:2] for row in rows], float).reshape(-1, 2).T
    return Partners(points[0], points[1], np.array([row[2:] for row in rows], int))


def test_ends_and_neurons_must_agree():
    truth = partners((0, 100, 1, 2), (1000, 1100, 3, 4), (5000, 5100, 5, 6))
    prediction = partners((100, 200, 1, 2), (1000, 1100, 4, 3), (5000, 5501, 5, 6))
    found = cremi_partners(truth, prediction)
    assert found.counts == Counts(1, 2, 2)
    assert found.distance_nm.tolist() == [100]
    assert (found.truth_index.tolist(), found.prediction_index.tolist()) == ([0], [0])


def test_least_cost_may_give_up_a_match():
    """Three truths at 0, 390, 780; predictions fit two exactly or three badly."""
    truth = partners((0, 0, 1, 2), (390, 390, 1, 2), (780, 780, 1, 2))
    prediction = partners((390, 390, 1, 2), (780, 780, 1, 2), (1170, 1170, 1, 2))
    # Two matches at 0 and one left out: 800. Three matches at 390: 1170.
    assert cremi_partners(truth, prediction).distance_nm.tolist() == [0, 0]
    most = cremi_partners(truth, prediction, mode="max_matches")
    assert most.distance_nm.tolist() == [390, 390, 390]


rows = st.lists(
    st.tuples(*[st.integers(0, 12)] * 2, st.integers(0, 1), st.integers(0, 1)), max_size=4
)


@settings(max_examples=60, deadline=None)
@given(rows, rows)
def test_agrees_with_trying_every_matching(truth, prediction):
    """With both ends in units of 100 nm."""
    scaled = [[(100 * a, 100 * b, m, n) for a, b, m, n in side] for side in (truth, prediction)]
    size = max(len(truth), len(prediction))
    cost = np.full((size, size), 800.0)
    for (i, t), (j, p) in itertools.product(*(enumerate(side) for side in scaled)):
        ends = abs(t[0] - p[0]), abs(t[1] - p[1])
        if t[2:] == p[2:] and max(ends) <= 400:
            cost[i, j] = sum(ends) / 2
    totals = []
    for order in itertools.permutations(range(size)):
        chosen = [cost[i, j] for i, j in enumerate(order)]
        totals.append((sum(chosen), -sum(c <= 400 for c in chosen)))
    best, most = min(totals)[0] if size else 0, -min((n, c) for c, n in totals)[0] if size else 0
    found = cremi_partners(*(partners(*side) for side in scaled))
    unmatched = size - found.counts.tp
    assert found.distance_nm.sum() + 800 * unmatched == pytest.approx(best)
    largest = cremi_partners(*(partners(*side) for side in scaled), mode="max_matches")
    assert largest.counts.tp == most


def test_arrays_of_different_length():
    good = partners((0, 0, 1, 2))
    with pytest.raises(DataError, match="1 pre sites, 0 post sites and 1 pairs"):
        cremi_partners(good, Partners(good.pre_nm, good.post_nm[:0], good.neurons))
