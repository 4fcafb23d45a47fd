"""Nearest-neighbour resizing of labels."""

from __future__ import annotations

import numpy as np
import pytest

from connectomics.decoding import resize_nearest
from connectomics.errors import ConfigError

ROW = np.arange(1, 7, dtype=np.uint16)[None, None]


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        (1.0, [1, 2, 3, 4, 5, 6]),
        (0.5, [2, 4, 6]),  # the centre of a new voxel is the edge of two: the later counts
        (1 / 3, [2, 5]),
        (1.5, [1, 2, 2, 3, 4, 4, 5, 6, 6]),
        (2, [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]),
    ],
)
def test_each_voxel_takes_the_label_at_its_centre(factor, expected):
    resized = resize_nearest(ROW, (1, 1, factor))
    assert resized[0, 0].tolist() == expected
    assert resized.dtype == ROW.dtype


def test_axes_have_factors_of_their_own():
    labels = np.arange(8).reshape(2, 2, 2)
    assert resize_nearest(labels, (0.5, 2, 1)).shape == (1, 4, 2)
    assert resize_nearest(labels, (0.5, 2, 1)).tolist() == [[[4, 5], [4, 5], [6, 7], [6, 7]]]


def test_the_arithmetic_of_factors_loses_no_voxel():
    assert resize_nearest(np.zeros((1, 1, 100)), (1, 1, 0.29)).shape == (1, 1, 29)
    assert resize_nearest(np.zeros((1, 1, 7)), (1, 1, 0.5)).shape == (1, 1, 3)


def test_an_axis_cannot_vanish():
    with pytest.raises(ConfigError, match=r"\(1, 1, 6\) voxels to \(0, 1, 6\)"):
        resize_nearest(ROW, (0.5, 1, 1))
