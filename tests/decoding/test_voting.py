"""Voting: sides by evidence, trimming, strays."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label
from synapse_volumes import listed, spread

from connectomics.decoding.voting import (
    percentile_per_synapse,
    settle_strays,
    trim_to_peak,
    vote_sides,
)


def test_each_voxel_goes_to_the_likelier_side():
    voxels = listed(
        [[[0, 0, 0, 0, 1, 2]]],
        [[[2, 0, 0, 0, 2, 0]]],
        pre=[[[0.6, 0.2, 0.5, 0.9, 0.1, 0.9]]],
        post=[[[0.4, 0.3, 0.5, 0.1, 0.0, 0.0]]],
        inside=[[[True, True, True, False, True, True]]],
    )
    # The fourth voxel only bridges, and the last synapse has no side to vote on.
    assert vote_sides(voxels).side.tolist() == [1, 2, 2, 0, 1, 0]


def test_trimming_follows_the_strength_of_each_synapse():
    union = [[[1.0, 0.6, 0.4, 0.5, 0.4, 0.2]]]
    voxels = listed([[[0, 0, 0, 1, 1, 1]]], np.ones((1, 1, 6)), union=union)
    trimmed = trim_to_peak(voxels, share=0.5)
    # The 95th percentile of three is the second: 0.6 and 0.4.
    assert trimmed.side.tolist() == [1, 1, 1, 1, 1, 0]
    assert trim_to_peak(voxels, share=0.99).side.tolist() == [1, 1, 0, 1, 1, 0]


@settings(deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0, 37, 95, 100]))
def test_percentiles_per_synapse(seed, percentile):
    rng = np.random.default_rng(seed)
    synapse, side = rng.integers(0, 4, (1, 5, 9)), rng.integers(0, 3, (1, 5, 9))
    values = rng.random((1, 5, 9))
    voxels = listed(synapse, side)
    found = percentile_per_synapse(voxels, values.ravel(), percentile)
    for s in range(voxels.count):
        mine = values[(synapse == s) & (side > 0)]
        expected = np.percentile(mine, percentile, method="lower") if mine.size else 0
        assert found[s] == expected


def test_strays_flip_where_they_touch_the_other_side_and_go_where_they_touch_nothing():
    side = [[[1, 1, 1, 1, 1, 1, 2, 1, 2, 2, 2, 2, 2, 0, 1]]]
    synapse = [[[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]]
    settled = settle_strays(listed(synapse, side), share=0.2)
    assert settled.side.tolist() == [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 0, 0]


def slow_settle(synapse, side, share):
    """The same piece by piece."""
    out = side.copy()
    for s in np.unique(synapse[synapse >= 0]):
        for this in (1, 2):
            pieces = label((synapse == s) & (side == this), connectivity=1)
            sizes = np.bincount(pieces.ravel())[1:]
            for n, size in enumerate(sizes, start=1):
                if size >= share * sizes.max():
                    continue
                mask = np.pad(pieces == n, 1)
                around = np.zeros_like(mask)
                for axis in range(3):
                    around |= np.roll(mask, 1, axis) | np.roll(mask, -1, axis)
                around = around[1:-1, 1:-1, 1:-1]
                touches = (around & (synapse == s) & (side == 3 - this)).any()
                out[pieces == n] = 3 - this if touches else 0
    return out


@settings(deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.2, 0.5, 1.0]))
def test_strays_against_a_slow_rule(seed, share):
    rng = np.random.default_rng(seed)
    synapse, side = rng.integers(-1, 2, (2, 6, 8)), rng.integers(0, 3, (2, 6, 8))
    voxels = listed(synapse, side)
    settled = settle_strays(voxels, share=share)
    expected = slow_settle(synapse, np.where(synapse >= 0, side, 0), share)
    assert np.array_equal(spread(settled, settled.side, 0), expected)
