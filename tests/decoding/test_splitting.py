"""Splitting: peaks, saddles, radii and incomplete parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synapse_volumes import listed, spread

from connectomics.decoding import kernels
from connectomics.decoding.splitting import meeting_evidence, smooth, split_touching


def flood(profile, *, least=0.1, ratio=0.7, radius=0.0, step=8.0):
    """The peak of each place of a profile along x."""
    height = np.asarray(profile, np.float32)
    voxels = listed(np.zeros((1, 1, height.size), int), resolution=(30.0, 8.0, step))
    parent = np.full(height.size, -1, np.int32)
    order = np.argsort(-height, kind="stable")
    rule = (least, ratio, radius)
    kernels.voxels.flood(order, height, voxels.links, voxels.points_nm(), rule, parent)
    return parent.tolist()


def test_a_deep_saddle_separates_and_a_shallow_one_does_not():
    assert flood([0.5, 1.0, 0.5, 0.9, 0.4]) == [1, 1, 1, 3, 3]
    assert flood([0.5, 1.0, 0.7, 0.9, 0.4]) == [1, 1, 1, 1, 1]  # 0.7 / 0.9 is above 0.7


def test_low_peaks_are_no_synapses():
    assert flood([1.0, 0.0, 0.09, 0.0]) == [0, 0, 0, 0]
    assert flood([1.0, 0.0, 0.11, 0.0]) == [0, 0, 2, 2]


def test_peaks_within_the_radius_are_one():
    assert flood([1.0, 0.1, 0.9], radius=15.9) == [0, 0, 2]
    assert flood([1.0, 0.1, 0.9], radius=16.1) == [0, 0, 0]


def slow_flood(height, ratio, least, radius):
    """Join the pair of neighbouring basins with the highest saddle as long as the rule says so."""
    basin = []
    for i in range(len(height)):  # steepest ascent
        while True:
            near = [j for j in (i - 1, i, i + 1) if 0 <= j < len(height)]
            best = max(near, key=lambda j: height[j])
            if best == i:
                break
            i = best
        basin.append(i)
    saddles = sorted(
        (
            (min(height[i], height[i + 1]), i)
            for i in range(len(height) - 1)
            if basin[i] != basin[i + 1]
        ),
        reverse=True,
    )
    for saddle, i in saddles:
        high, low = sorted((basin[i], basin[i + 1]), key=lambda j: -height[j])
        near = abs(high - low) * 8.0 < radius
        if height[low] < least or saddle >= ratio * height[low] or near:
            basin = [high if b == low else b for b in basin]
    return basin


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 999), min_size=2, max_size=12, unique=True),
    st.sampled_from([0.5, 0.7, 0.9]),
    st.sampled_from([0.0, 20.0]),
)
def test_flooding_a_line_against_a_slow_one(heights, ratio, radius):
    height = [h / 1000 for h in heights]
    expected = slow_flood([float(np.float32(h)) for h in height], ratio, 0.1, radius)
    assert flood(height, ratio=ratio, radius=radius) == expected


def test_smoothing_is_a_gaussian_with_nothing_around():
    values = np.zeros((1, 1, 21), np.float32)
    values[0, 0, 10] = 1
    voxels = listed(np.zeros(values.shape, int), resolution=(3000.0, 8.0, 8.0))
    out = smooth(voxels, values.ravel(), 16.0)  # two voxels
    weights = np.exp(-0.5 * (np.arange(-5, 6) / 2) ** 2)
    centre = out[5:16] / out[10]
    assert centre == pytest.approx(weights, rel=1e-5)
    assert out[:5].max() == 0


def test_evidence_is_where_both_sides_are():
    pre = np.zeros((1, 1, 30))
    pre[..., :15] = 1
    voxels = listed(np.zeros(pre.shape, int), pre=pre, post=1 - pre)
    evidence = meeting_evidence(voxels, sigma_nm=16.0)
    assert evidence[[14, 15]].min() == evidence.max()
    assert evidence[[0, 29]].max() < 0.01


def pair(gap, p_gap=0.1, width=20):
    """Probabilities of two synapses side by side, `gap` columns apart; pre above post."""
    shape = (3, 16, 2 * width + gap)
    strength = np.full(shape, 0.9)
    strength[..., width : width + gap] = p_gap
    upper = np.arange(16)[:, None] < 8
    return strength * upper, strength * ~upper


@pytest.mark.parametrize(("gap", "found"), [(0, 1), (4, 2), (8, 2)])
def test_synapses_side_by_side(gap, found):
    pre, post = pair(gap)
    voxels = listed(np.zeros(pre.shape, int), pre=pre, post=post, union=pre + post)
    parts = split_touching(voxels, sigma_nm=24.0, radius_nm=60.0, saddle=0.75, part_nm3=0.0)
    assert parts.count == found
    if found == 2:
        columns = spread(parts, parts.synapse)[1, 8]
        assert columns[:20].tolist() == [0] * 20
        assert columns[-20:].tolist() == [1] * 20


def test_what_only_bridges_separates_however_narrow():
    pre, post = pair(1, p_gap=0.3)
    inside = np.ones(pre.shape, bool)
    inside[..., 20] = False
    rule = {"sigma_nm": 24.0, "radius_nm": 60.0, "saddle": 0.7}
    for bridged, found in ((inside, 2), (np.ones_like(inside), 1)):
        given = {"pre": pre, "post": post, "union": pre + post, "inside": bridged}
        voxels = listed(np.zeros(pre.shape, int), **given)
        assert split_touching(voxels, part_nm3=0.0, **rule).count == found
        # A part that is not a synapse goes back all the same.
        assert split_touching(voxels, part_nm3=1e9, **rule).count == 1


def test_a_part_without_both_sides_goes_back():
    pre, post = pair(6)
    post[..., 26:] *= 0.2  # the second has hardly a post side
    pre[..., 26:] *= 1.1
    voxels = listed(np.zeros(pre.shape, int), pre=pre, post=post, union=np.maximum(pre, post))
    rule = {"sigma_nm": 24.0, "radius_nm": 60.0, "saddle": 0.9}
    assert split_touching(voxels, part_nm3=0.0, **rule).count == 2
    post[:, 8:, 26:] = 0.1
    pre[:, 8:, 26:] = 0.15
    voxels = listed(np.zeros(pre.shape, int), pre=pre, post=post, union=np.maximum(pre, post))
    assert split_touching(voxels, part_nm3=0.5e6, **rule).count == 1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_splitting_only_refines_and_loses_nothing(seed):
    rng = np.random.default_rng(seed)
    synapse = np.where(rng.random((3, 8, 20)) < 0.8, 0, -1)
    synapse[:, :, 10:][synapse[:, :, 10:] == 0] = 1
    synapse[:, :, 9:11] = -1
    voxels = listed(synapse, pre=rng.random(synapse.shape), post=rng.random(synapse.shape))
    parts = split_touching(voxels, sigma_nm=8.0, radius_nm=0.0, saddle=0.9, part_nm3=0.0)
    assert (parts.synapse >= 0).all()
    pairs = np.unique(np.stack([parts.synapse, voxels.synapse]), axis=1)
    assert pairs.shape[1] == parts.count
