"""Hysteresis against components of the whole array."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label
from synapse_volumes import listed, spread

from connectomics.decoding.hysteresis import keep_strong

VOXEL = 30.0 * 8 * 8


@settings(deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0, 1, 2, 5]), st.sampled_from([0.5, 0.7]))
def test_components_survive_that_hold_enough_strong_voxels(seed, core, high):
    union = np.random.default_rng(seed).random((3, 6, 9))
    components = label(union > 0.45, connectivity=1)
    voxels = listed(components - 1, union=union)
    kept = keep_strong(voxels, high=high, core_nm3=core * VOXEL)

    expected = np.zeros_like(components)
    for n in range(1, components.max() + 1):
        if (union[components == n] > high).sum() >= max(core, 1):
            expected[components == n] = expected.max() + 1
    assert np.array_equal(spread(kept, kept.synapse), expected - 1)


def test_voxels_that_only_bridge_do_not_count():
    voxels = listed([[[0, 0, 1]]], union=[[[0.9, 0.4, 0.9]]], inside=[[[False, True, True]]])
    kept = keep_strong(voxels, high=0.5, core_nm3=0)
    assert kept.synapse.tolist() == [-1, -1, 0]
