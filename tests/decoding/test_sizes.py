"""Size filters."""

from __future__ import annotations

import numpy as np
import pytest
from synapse_volumes import listed, listed_labels

from connectomics.decoding.sizes import (
    TYPICAL_NM3,
    drop_small_sides,
    drop_small_synapses,
    size_scale,
)

VOXEL = 30.0 * 8 * 8
LABELS = [[[1, 1, 2, 0, 3, 0, 5, 5, 6, 6]]]


def test_a_side_that_is_exactly_large_enough_stays():
    dropped = drop_small_sides(listed_labels(LABELS), 2 * VOXEL)
    assert dropped.side_sizes().tolist() == [[2, 0, 2], [0, 0, 2]]


@pytest.mark.parametrize(("voxels", "left"), [(0, 3), (1, 3), (2, 2), (3, 2), (4, 1), (5, 0)])
def test_synapses_of_enough_voxels_stay(voxels, left):
    assert drop_small_synapses(listed_labels(LABELS), voxels * VOXEL).count == left


def pairs(*voxels, resolution=(30.0, 8.0, 8.0)):
    """Synapses with so many voxels on either side."""
    synapse = np.repeat(np.arange(len(voxels)), 2 * np.array(voxels)).reshape(1, 1, -1)
    is_pre = np.concatenate([np.arange(2 * n) < n for n in voxels])
    return listed(synapse, np.where(is_pre, 1, 2), pre=is_pre, post=~is_pre, resolution=resolution)


@pytest.mark.parametrize(
    ("voxels", "typical"),
    [
        ([200], 200),
        ([100, 300, 600], 600),  # half of the 1000 voxels lie on sides of at least 600
        ([100, 300, 600, 2, 2, 2, 2, 2, 2], 600),  # specks do not matter
        ([300, 300, 300, 600], 300),
    ],
)
def test_the_scale_follows_the_typical_side(voxels, typical):
    for resolution in ((30.0, 8.0, 8.0), (40.0, 16.0, 16.0)):
        expected = typical * np.prod(resolution) / TYPICAL_NM3
        assert size_scale(pairs(*voxels, resolution=resolution)) == pytest.approx(expected)


def test_the_scale_has_its_limits():
    assert size_scale(pairs(5000)) == 1.0
    assert size_scale(pairs(1)) == 0.02
    assert size_scale(listed_labels([[[0, 0]]])) == 1.0
    assert size_scale(listed([[[0, 0, 0]]], [[[1, 1, 1]]], pre=[1, 1, 1])) == 1.0  # not paired
