"""Ratios at their edges, and pooling."""

from __future__ import annotations

import math

import pytest

from connectomics.errors import DataError
from connectomics.evaluation import Counts, pool


def test_ratios():
    counts = Counts(tp=6, fp=2, fn=4)
    assert (counts.precision, counts.recall, counts.f1) == (0.75, 0.6, 12 / 18)
    assert str(counts) == "6/2/4"
    assert counts.as_dict() == {
        "tp": 6,
        "fp": 2,
        "fn": 4,
        "precision": 0.75,
        "recall": 0.6,
        "f1": 12 / 18,
    }


def test_nothing_against_nothing_is_undefined():
    counts = Counts(0, 0, 0)
    assert all(math.isnan(r) for r in (counts.precision, counts.recall, counts.f1))


def test_an_empty_truth_has_precision_zero():
    counts = Counts(tp=0, fp=3, fn=0)
    assert (counts.precision, counts.f1) == (0, 0)
    assert math.isnan(counts.recall)


def test_an_empty_prediction_has_f1_zero():
    counts = Counts(tp=0, fp=0, fn=3)
    assert (counts.recall, counts.f1) == (0, 0)


def test_pooling_adds_counts_and_not_ratios():
    pooled = pool([Counts(9, 1, 0), Counts(0, 0, 0), Counts(0, 0, 1)])
    assert pooled == Counts(9, 1, 1)
    assert pooled.f1 == 0.9


def test_pooling_nothing():
    with pytest.raises(DataError, match="no score to pool"):
        pool([])
