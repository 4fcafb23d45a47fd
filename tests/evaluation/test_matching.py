"""One-to-one matching against trying every matching, and against stardist."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linear_sum_assignment

from connectomics.errors import DataError
from connectomics.evaluation import assign, contingency_table, match_objects, matching


def best_matching_slowly(edges, most_pairs):
    """Try every subset of edges; return (pairs, weight) of the best matching."""
    best = (0, 0.0)
    for size in range(len(edges) + 1):
        for subset in itertools.combinations(edges, size):
            if len({e[0] for e in subset}) < size or len({e[1] for e in subset}) < size:
                continue
            score = (size, sum(e[2] for e in subset))
            if (score if most_pairs else score[::-1]) > (best if most_pairs else best[::-1]):
                best = score
    return best


@st.composite
def graphs(draw):
    """Up to nine edges with weights that are easy to compare exactly."""
    nodes = st.tuples(st.integers(0, 4), st.integers(0, 4))
    pairs = draw(st.lists(nodes, max_size=9, unique=True))
    weights = [draw(st.integers(1, 64)) / 64 for _ in pairs]
    return [(left, right, w) for (left, right), w in zip(pairs, weights, strict=True)]


def check_assignment(edges, most_pairs, **constants):
    left, right = (np.array([e[i] for e in edges], dtype=int) for i in (0, 1))
    weight = np.array([e[2] for e in edges])
    with pytest.MonkeyPatch.context() as patch:
        for name, value in constants.items():
            patch.setattr(matching, name, value)
        chosen = assign(left, right, weight, most_pairs=most_pairs)
    assert len(set(left[chosen])) == len(set(right[chosen])) == len(chosen)
    assert left[chosen].tolist() == sorted(left[chosen])
    pairs, total = best_matching_slowly(edges, most_pairs)
    assert weight[chosen].sum() == total
    if most_pairs:
        assert len(chosen) == pairs


WAYS = st.fixed_dictionaries(
    {
        "most_pairs": st.booleans(),
        "_DENSE_ENTRIES": st.sampled_from([0, 2**18]),
        "_BATCH_NODES": st.sampled_from([1, 4, 96]),
    }
)


@settings(max_examples=80, deadline=None)
@given(graphs(), WAYS)
def test_finds_the_best_of_all_matchings(edges, ways):
    check_assignment(edges, **ways)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None)
@given(graphs(), WAYS)
def test_finds_the_best_of_all_matchings_in_2000_cases(edges, ways):
    check_assignment(edges, **ways)


@pytest.mark.parametrize("most_pairs", [True, False])
def test_many_components_at_once_come_out_as_one_large_problem(most_pairs):
    """1,000 objects in a row that overlap their neighbours, against one dense matrix."""
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(1, 1001), rng.integers(2, 7, 1000))
    prediction = np.sort(rng.integers(1, 1001, truth.size))
    table = contingency_table(truth, prediction)
    edges = np.flatnonzero(table.iou() >= 0.15)
    left, right, iou = table.truth_index[edges], table.prediction_index[edges], table.iou()[edges]
    value = np.zeros((len(table.truth), len(table.prediction)))
    value[left, right] = iou + 1001 * most_pairs
    rows, columns = linear_sum_assignment(value, maximize=True)
    chosen = assign(left, right, iou, most_pairs=most_pairs)
    expected = value[rows, columns][value[rows, columns] > 0] - 1001 * most_pairs
    assert chosen.size == expected.size
    assert iou[chosen].sum() == pytest.approx(expected.sum(), rel=1e-12)


def test_more_pairs_go_before_a_better_pair():
    # A chain a-x, a-y, b-y: taking the one good edge a-y would leave b and x alone.
    left, right = np.array([0, 0, 1]), np.array([0, 1, 1])
    weight = np.array([0.3, 1.0, 0.3])
    assert assign(left, right, weight).tolist() == [0, 2]
    assert assign(left, right, weight, most_pairs=False).tolist() == [1]


def test_an_iou_of_exactly_the_threshold_matches():
    truth = np.array([1, 1, 1, 0])
    prediction = np.array([0, 1, 1, 1])  # 2 shared of 4: IoU 0.5
    table = contingency_table(truth, prediction)
    assert len(match_objects(table, 0.5)) == 1
    assert len(match_objects(table, np.nextafter(0.5, 1))) == 0


def test_at_one_half_two_partners_are_possible_and_one_is_taken():
    truth, prediction = np.array([1, 1, 0, 0]), np.array([5, 6, 0, 0])
    table = contingency_table(truth, prediction)
    assert table.iou().tolist() == [0.5, 0.5]
    assert len(match_objects(table, 0.5)) == 1


@pytest.mark.parametrize("threshold", [0, -0.1, 1.01, float("nan")])
def test_thresholds_that_are_none(threshold):
    table = contingency_table(np.array([1]), np.array([1]))
    with pytest.raises(DataError, match="outside \\(0, 1\\]"):
        match_objects(table, threshold)


@st.composite
def similar_labels(draw):
    """A label volume and a copy with some voxels changed."""
    shape = draw(hnp.array_shapes(min_dims=3, max_dims=3, max_side=6))
    truth = draw(hnp.arrays(np.int32, shape, elements=st.integers(0, 5)))
    other = draw(hnp.arrays(np.int32, shape, elements=st.integers(0, 7)))
    keep = draw(hnp.arrays(bool, shape))
    return truth, np.where(keep, truth, other)


def check_against_stardist(volumes, threshold):
    stardist = pytest.importorskip("stardist.matching")
    truth, prediction = volumes
    expected = stardist.matching(truth, prediction, thresh=threshold)
    table = contingency_table(truth, prediction)
    found = match_objects(table, threshold)
    assert len(found) == expected.tp
    assert len(table.prediction) - len(found) == expected.fp
    assert len(table.truth) - len(found) == expected.fn
    # Below 0.5, stardist lets pairs under the threshold decide between matchings of one size.
    total = expected.mean_matched_score * expected.tp  # its scores are in single precision
    if threshold >= 0.5:
        assert found.iou.sum() == pytest.approx(total, rel=1e-5)
    else:
        assert found.iou.sum() >= total * (1 - 1e-5)


# Exact in single precision too, so that equality means the same to both.
THRESHOLDS = st.sampled_from([0.125, 0.25, 0.5, 0.75, 0.875])


@settings(max_examples=60, deadline=None)
@given(similar_labels(), THRESHOLDS)
def test_agrees_with_stardist(volumes, threshold):
    check_against_stardist(volumes, threshold)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None)
@given(similar_labels(), THRESHOLDS)
def test_agrees_with_stardist_in_2000_cases(volumes, threshold):
    check_against_stardist(volumes, threshold)


def test_a_component_too_large_for_a_dense_matrix(monkeypatch):
    """A path of 3,000 edges, solved without building 1,500 x 1,500 entries."""
    rng = np.random.default_rng(0)
    n = 1500
    left = np.repeat(np.arange(n), 2)
    right = left + np.tile([0, 1], n)
    weight = rng.uniform(0.1, 0.5, 2 * n)
    sparse = assign(left, right, weight)
    monkeypatch.setattr(matching, "_DENSE_ENTRIES", 2 * n * n)
    assert sparse.tolist() == assign(left, right, weight).tolist()
    assert sparse.size == n
