from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomics.data.volumes import MemoryVolume
from connectomics.errors import DataError
from connectomics.geometry import Box, block_boxes
from connectomics.inference import predict_volume
from connectomics.inference.build import predict_stored_block
from connectomics.inference.by_block import predict_block, windows_of
from connectomics.inference.windows import Sliding

SIZES = st.tuples(st.integers(1, 9), st.integers(1, 16), st.integers(1, 16))
WINDOWS = st.tuples(st.integers(3, 9), st.integers(7, 16), st.integers(7, 16))
HOW = st.fixed_dictionaries(
    {
        "overlap": st.sampled_from([0.0, 0.3, 0.5]),
        "padding_mode": st.sampled_from(["reflect", "replicate", "constant"]),
        "flip_axes": st.sampled_from([None, "all", [[1], [0, 2]]]),
        "batch_size": st.integers(1, 3),
    }
)


def blurred(inputs):
    """A network that looks around, and not alike in all directions."""
    weight = torch.arange(2 * 27, dtype=torch.float32).view(2, 1, 3, 3, 3) / 100
    return torch.nn.functional.conv3d(inputs, weight, padding=1)


@settings(deadline=None, max_examples=15)
@given(SIZES, WINDOWS, SIZES, HOW)
def test_blocks_of_any_shape_are_the_whole_volume(shape, window, block, how):
    image = np.random.default_rng(0).random(shape, dtype=np.float32)
    sliding = Sliding(window, **how)
    expected = predict_volume(blurred, image, window_size=window, **how)
    for box in np.random.default_rng(1).permutation(np.array(block_boxes(shape, block)))[:5]:
        windows = windows_of(box, shape, sliding)
        found = predict_block(blurred, image[windows.hull.slices], windows, sliding)
        np.testing.assert_allclose(found, expected[(..., *box.slices)], rtol=1e-5, atol=1e-5)


def test_what_is_read_depends_on_the_block_and_not_on_the_volume():
    sliding = Sliding((4, 8, 8), overlap=0.5)
    for size in (100, 10_000):
        windows = windows_of(Box((40, 40, 40), (48, 56, 56)), (size,) * 3, sliding)
        assert windows.hull == Box((38, 36, 36), (50, 60, 60))
        assert windows.count == 5 * 5 * 5


def stored(image, box, **settings):
    sliding = Sliding((2, 4, 4), overlap=0.5)
    return predict_stored_block(
        blurred,
        MemoryVolume("em", image),
        box,
        sliding,
        normalise=lambda grey: grey.astype(np.float32) + 1,
        **{"dtype": "float32", **settings},
    )


def test_nothing_is_predicted_where_no_window_sees_anything():
    image = np.zeros((4, 16, 16), np.uint8)
    image[:, :, 12] = 9
    assert stored(image, Box((0, 0, 0), (4, 16, 4))) is None
    # The block itself is 0, and a window that touches it reaches voxels that are not.
    assert stored(image, Box((0, 0, 8), (4, 16, 12))) is not None
    # One grey value everywhere is an image like any other.
    assert stored(np.full_like(image, 9), Box((0, 0, 0), (4, 16, 4))) is not None


def test_nothing_is_predicted_outside_a_mask():
    image, mask = np.ones((4, 16, 16), np.uint8), np.zeros((4, 16, 16), np.uint8)
    mask[0, 0, 15] = 1
    asked = {"mask": MemoryVolume("mask", mask)}
    assert stored(image, Box((0, 0, 0), (4, 16, 4)), **asked) is None
    assert stored(image, Box((0, 0, 12), (4, 16, 16)), **asked) is not None


def test_the_voxel_of_an_illegal_value_is_named_as_in_the_whole_volume():
    image = np.zeros((4, 16, 16), np.float32)
    image[2, 9, 11] = np.nan
    with pytest.raises(DataError, match=r"nan at voxel \(2, 9, 11\)"):
        stored(image, Box((0, 8, 8), (4, 12, 12)))
    with pytest.raises(DataError, match=r"uint8 cannot hold .* at voxel \(0, 8, 8\)"):
        stored(np.full((4, 16, 16), 9.0), Box((0, 8, 8), (4, 12, 12)), dtype="uint8")
