"""What a volume says of nothing, and of what it is surest of."""

from __future__ import annotations

import numpy as np
import pytest

from connectomics.decoding.levels import Levels, measure_levels
from connectomics.decoding.probabilities import check_probabilities

NM = (10.0, 10.0, 10.0)  # 0.05e6 nm³ are 50 voxels


def levels_of(union, *, exclusive=False, resolution=NM):
    """The levels of a volume whose union is given; the sides are 0."""
    volume = np.zeros((3, *union.shape), union.dtype)
    volume[0 if exclusive else 2] = (1 - union) if exclusive else union
    checked = check_probabilities(volume, channels=3, where="test")
    return measure_levels(checked, resolution, exclusive=exclusive)


def answers(background, *blocks, dtype=np.float32):
    """(8, 20, 20) with one value in most places, and blocks of (voxels, value)."""
    union = np.full(8 * 20 * 20, background, dtype)
    start = 0
    for voxels, value in blocks:
        union[start : start + voxels] = value
        start += voxels
    return union.reshape(8, 20, 20)


def expected(background, peak):
    """Both, as they are measured: to 1/255."""
    return pytest.approx((background, peak), abs=0.5 / 255 + 1e-6)


@pytest.mark.parametrize("exclusive", [False, True])
def test_they_are_the_median_and_the_surest_voxels(exclusive):
    union = answers(0.2, (50, 0.7), (500, 0.4))
    assert levels_of(union, exclusive=exclusive) == expected(0.2, 0.7)


def test_what_fills_less_than_a_synapse_is_not_believed():
    assert levels_of(answers(0.1, (49, 0.9), (500, 0.6))) == expected(0.1, 0.6)
    assert levels_of(answers(0.1, (50, 0.9), (500, 0.6))) == expected(0.1, 0.9)


def test_the_voxel_size_says_how_many_voxels_that_are():
    union = answers(0.1, (26, 0.9), (500, 0.6))
    assert levels_of(union, resolution=(30, 8, 8)) == expected(0.1, 0.9)
    assert levels_of(union, resolution=(20, 8, 8)) == expected(0.1, 0.6)


def test_noise_is_not_taken_for_synapses():
    assert levels_of(answers(0.0)) == (0.0, 0.4)
    assert levels_of(answers(0.2, (500, 0.3))) == expected(0.2, 0.5)
    assert levels_of(answers(0.9)) == (0.4, pytest.approx(0.9, abs=2e-3))
    assert levels_of(answers(1.0)) == (0.4, 1.0)


def test_a_volume_smaller_than_its_surest_voxels():
    assert levels_of(np.full((1, 1, 2), 0.8, np.float32)) == expected(0.4, 0.8)


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float64])
def test_every_scale_gives_the_same(dtype):
    union = answers(51, (60, 204), dtype=np.uint8)
    union = union if dtype == np.uint8 else (union / 255).astype(dtype)
    assert levels_of(union) == expected(0.2, 0.8)


def test_nan_and_what_exceeds_one_a_little_do_no_harm():
    """Thresholding, which comes next, complains of them."""
    union = answers(0.1, (60, 1.0005))
    union[-1, -1, -1] = np.nan
    assert levels_of(union) == expected(0.1, 1.0)


def test_stretching_is_the_reverse_of_reading_raw():
    levels = Levels(0.1, 0.6)
    shares = np.array([0.0, 0.3, 1.0])
    raw = np.array([levels.raw(share) for share in shares])
    assert raw.tolist() == pytest.approx([0.1, 0.25, 0.6])
    assert levels.stretched(raw).tolist() == pytest.approx(shares.tolist())
