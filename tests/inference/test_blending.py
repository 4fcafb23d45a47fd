from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectomics.errors import DataError
from connectomics.inference.blending import (
    BLENDINGS,
    axis_windows,
    flip_combinations,
    window_profile,
)


@given(
    length=st.integers(1, 70),
    size=st.integers(1, 40),
    overlap=st.floats(0, 0.95),
    blending=st.sampled_from(sorted(BLENDINGS)),
)
def test_weights_are_a_partition_of_unity(length, size, overlap, blending):
    length = max(length, size)
    windows = axis_windows(length, size, overlap, blending)
    total = np.zeros(length)
    for start, weights in zip(windows.starts, windows.weights, strict=True):
        assert (weights > 0).all()
        total[start : start + size] += weights
    np.testing.assert_allclose(total, 1, atol=1e-6)


@pytest.mark.parametrize("blending", sorted(BLENDINGS))
def test_profiles_are_symmetric_and_highest_in_the_middle(blending):
    profile = window_profile(9, blending)
    np.testing.assert_allclose(profile, profile[::-1])
    assert profile.argmax() == 4 or blending == "constant"
    assert profile.max() == pytest.approx(1, abs=0.05)


def test_an_unknown_blending_names_the_choices():
    with pytest.raises(DataError, match="bump, gaussian, constant"):
        window_profile(4, "hann")


def test_flip_combinations():
    assert flip_combinations(None) == [()]
    assert flip_combinations("all") == [(), (0,), (1,), (0, 1), (2,), (0, 2), (1, 2), (0, 1, 2)]
    assert flip_combinations([[1], [1], [2, 1]]) == [(), (1,), (1, 2)]
    with pytest.raises(DataError, match="axes are 0"):
        flip_combinations([[3]])
