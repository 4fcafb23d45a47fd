"""Masks voxel by voxel."""

from __future__ import annotations

import math

import numpy as np
import pytest

from connectomics.errors import DataError
from connectomics.evaluation import MaskOverlap, mask_overlap, pool


def test_by_hand():
    overlap = mask_overlap(np.array([1, 5, 0, 2]), np.array([0, 1, 1, 9]))
    assert overlap == MaskOverlap(shared=2, truth=3, prediction=3)
    assert (overlap.jaccard, overlap.dice) == (1 / 2, 2 / 3)
    assert (overlap.precision, overlap.recall) == (2 / 3, 2 / 3)
    assert overlap.as_dict()["voxels"] == {"shared": 2, "truth": 3, "prediction": 3}
    assert overlap.notes == ()


def test_mask_and_pooling():
    truth, prediction = np.array([1, 1, 0]), np.array([1, 0, 1])
    assert mask_overlap(truth, prediction, mask=np.array([1, 1, 0])).jaccard == 1 / 2
    nothing = mask_overlap(np.zeros(3, bool), np.zeros(3, bool))
    assert math.isnan(nothing.jaccard)
    assert pool([nothing, mask_overlap(truth, prediction)]).jaccard == 1 / 3


def test_probabilities_are_no_mask():
    with pytest.raises(DataError, match="labels are whole numbers"):
        mask_overlap(np.array([1]), np.array([0.7]))
