"""Size filters."""

from __future__ import annotations

import pytest
from synapse_volumes import listed_labels

from connectomics.decoding.sizes import drop_small_sides, drop_small_synapses

VOXEL = 30.0 * 8 * 8
LABELS = [[[1, 1, 2, 0, 3, 0, 5, 5, 6, 6]]]


def test_a_side_that_is_exactly_large_enough_stays():
    dropped = drop_small_sides(listed_labels(LABELS), 2 * VOXEL)
    assert dropped.side_sizes().tolist() == [[2, 0, 2], [0, 0, 2]]


@pytest.mark.parametrize(("voxels", "left"), [(0, 3), (1, 3), (2, 2), (3, 2), (4, 1), (5, 0)])
def test_synapses_of_enough_voxels_stay(voxels, left):
    assert drop_small_synapses(listed_labels(LABELS), voxels * VOXEL).count == left
