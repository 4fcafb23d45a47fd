"""Precision-recall curves by hand, and their end against the counts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.sparse import coo_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from connectomics.errors import DataError
from connectomics.evaluation import (
    Pair,
    polarity_tables,
    pool,
    precision_recall_curve,
    score_polarity,
)


def synapses(*numbers):
    """(1, 1, X): synapse n as a pre and a post voxel, 0 for two voxels of background."""
    sides = [(2 * n - 1, 2 * n) if n else (0, 0) for n in numbers]
    return np.array(sides).reshape(1, 1, -1)


def test_average_precision_by_hand():
    truth = synapses(1, 2, 3, 4, 0, 0)
    prediction = synapses(1, 2, 3, 0, 4, 5)
    # In order of confidence: TP, FP, TP, TP, FP of four truths.
    confidence = {1: 0.9, 4: 0.8, 2: 0.7, 3: 0.6, 5: 0.1}
    curve = precision_recall_curve(polarity_tables(Pair(truth, prediction)), confidence)
    cutoff, precision, recall = curve.points()
    assert cutoff.tolist() == [0.9, 0.8, 0.7, 0.6, 0.1]
    assert precision.tolist() == [1, 1 / 2, 2 / 3, 3 / 4, 3 / 5]
    assert recall.tolist() == [1 / 4, 1 / 4, 2 / 4, 3 / 4, 3 / 4]
    assert curve.average_precision == pytest.approx(1 / 4 * 1 + 1 / 2 * 3 / 4)
    assert curve.best_f1() == (pytest.approx(3 / 4), 0.6)


def test_equal_confidences_enter_together():
    tables = polarity_tables(Pair(synapses(1, 2, 0), synapses(1, 2, 3)))
    curve = precision_recall_curve(tables, {1: 0.5, 2: 0.5, 3: 0.5})
    _, precision, recall = curve.points()
    assert (precision.tolist(), recall.tolist()) == ([2 / 3], [1])
    assert curve.average_precision == pytest.approx(2 / 3)


def test_a_flipped_synapse_is_found_but_no_polarity_tp():
    truth = synapses(1, 2)
    prediction = np.array([[[1, 2, 4, 3]]])
    tables = polarity_tables(Pair(truth, prediction))
    confidence = {1: 0.5, 2: 0.9}
    assert precision_recall_curve(tables, confidence).average_precision == pytest.approx(0.25)
    detection = precision_recall_curve(tables, confidence, score="detection")
    assert detection.average_precision == 1


def test_a_weaker_better_fit_does_not_undo_a_stronger_find():
    """At low thresholds two predictions may fit one truth: the first to come finds it."""
    truth = np.array([[[1] * 5 + [2] * 5]])
    prediction = np.array([[[1, 1, 3, 3, 3, 2, 2, 4, 4, 4]]])
    tables = polarity_tables(Pair(truth, prediction))
    curve = precision_recall_curve(tables, {1: 0.9, 2: 0.1}, iou_threshold=0.3)
    assert curve.is_tp.tolist() == [True, False]


def test_empty_sides():
    nothing, one = synapses(0), synapses(1)
    both = precision_recall_curve(polarity_tables(Pair(nothing, nothing)), {})
    assert math.isnan(both.average_precision)
    assert all(map(math.isnan, both.best_f1()))
    no_truth = precision_recall_curve(polarity_tables(Pair(nothing, one)), {1: 0.5})
    assert (no_truth.average_precision, no_truth.best_f1()[0]) == (0, 0)
    no_prediction = precision_recall_curve(polarity_tables(Pair(one, nothing)), {})
    assert (no_prediction.average_precision, no_prediction.best_f1()[0]) == (0, 0)


def test_one_sided_truth_and_border_synapses_leave_the_curve():
    truth = np.array([[[0, 1, 2, 0, 3, 3, 0, 5, 6]]])
    prediction = np.array([[[0, 1, 2, 0, 3, 4, 0, 5, 6]]])
    tables = polarity_tables(Pair(truth, prediction))
    confidence = {1: 0.9, 2: 0.8, 3: 0.7}
    curve = precision_recall_curve(tables, confidence, ignore_border=True)
    assert (curve.confidence.tolist(), curve.n_truth) == ([0.9], 1)


def test_pooling_merges_by_confidence():
    first = precision_recall_curve(
        polarity_tables(Pair(synapses(1, 0), synapses(1, 2))), {1: 0.9, 2: 0.3}
    )
    second = precision_recall_curve(polarity_tables(Pair(synapses(1), synapses(1))), {1: 0.5})
    pooled = pool([first, second])
    assert pooled.confidence.tolist() == [0.9, 0.5, 0.3]
    assert pooled.is_tp.tolist() == [True, True, False]
    assert pooled.average_precision == 1


@pytest.mark.parametrize(
    ("confidence", "said"),
    [({1: 0.5}, "1 predicted synapses have none, such as number 2"), ({1: 1, 2: np.nan}, "is nan")],
)
def test_confidences_that_are_none(confidence, said):
    tables = polarity_tables(Pair(synapses(1, 2), synapses(1, 2)))
    with pytest.raises(DataError, match=said):
        precision_recall_curve(tables, confidence)


@st.composite
def ranked_volumes(draw):
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(st.integers(1, 6)))
    labels = st.integers(0, 8)
    truth = draw(hnp.arrays(np.int32, shape, elements=labels))
    other = draw(hnp.arrays(np.int32, shape, elements=labels))
    keep = draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, 3)))
    confidence = {n: draw(st.integers(0, 4)) / 4 for n in range(1, 5)}
    return truth, np.where(keep > 0, truth, other), confidence


@settings(max_examples=50, deadline=None)
@given(ranked_volumes(), st.booleans())
def test_the_end_of_the_curve_is_the_count(volumes, ignore_border):
    truth, prediction, confidence = volumes
    tables = polarity_tables(
        Pair(truth, prediction, truth_encoding="polarity", prediction_encoding="polarity")
    )
    scores = score_polarity(tables, 0.51, ignore_border=ignore_border)
    for name, counts in (("polarity", scores.polarity), ("detection", scores.detection)):
        curve = precision_recall_curve(
            tables, confidence, iou_threshold=0.51, score=name, ignore_border=ignore_border
        )
        found = np.count_nonzero(curve.is_tp)
        assert (found, curve.is_tp.size - found, curve.n_truth - found) == (
            counts.tp,
            counts.fp,
            counts.fn,
        )


@settings(max_examples=50, deadline=None)
@given(ranked_volumes())
def test_at_every_cutoff_as_many_are_found_as_can_be_matched(volumes):
    truth, prediction, confidence = volumes
    tables = polarity_tables(
        Pair(truth, prediction, truth_encoding="polarity", prediction_encoding="polarity")
    )
    curve = precision_recall_curve(tables, confidence, iou_threshold=0.1, score="detection")
    table = tables.synapses
    sure = np.array([confidence[int(n)] for n in table.prediction.ids])
    for cutoff in sorted(set(sure)):
        kept = (table.iou() >= 0.1) & (sure[table.prediction_index] >= cutoff)
        graph = coo_array(
            (np.ones(kept.sum()), (table.truth_index[kept], table.prediction_index[kept])),
            shape=(len(table.truth), len(table.prediction)),
        )
        best = np.count_nonzero(maximum_bipartite_matching(graph.tocsr()) >= 0)
        assert np.count_nonzero(curve.is_tp[curve.confidence >= cutoff]) == best
