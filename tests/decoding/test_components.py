"""binary2instance against hand-made masks and its oracle."""

from __future__ import annotations

import numpy as np
import pytest
from decoding_oracle import plain_binary2instance, same_instances
from decoding_volumes import DTYPES, STYLES, random_volume, shapes
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomics.decoding import binary2instance
from connectomics.errors import ConfigError, DataError


@given(
    seed=st.integers(0, 2**32 - 1),
    shape=shapes,
    style=st.sampled_from(STYLES),
    dtype=st.sampled_from(DTYPES),
    thres=st.sampled_from([0.0, 0.3, 0.5, 0.9]),
    thres_small=st.sampled_from([0, 1, 2, 5, 30]),
    dilate_sz=st.sampled_from([0, 1, 2, 3, 6]),
)
@settings(max_examples=150, deadline=None)
@pytest.mark.filterwarnings("ignore:.*largest value of this uint8")
def test_agrees_with_the_oracle(seed, shape, style, dtype, thres, thres_small, dilate_sz):
    volume = random_volume(seed, shape, style, dtype)[:1]
    labels = binary2instance(volume, thres, thres_small, dilate_sz)
    expected = plain_binary2instance(volume, thres, thres_small, dilate_sz)
    assert same_instances(labels, expected)
    assert np.array_equal(np.unique(labels[labels > 0]), np.arange(1, labels.max() + 1))


def test_size_counts_the_mask_and_not_its_dilation():
    volume = np.zeros((1, 5, 9), np.float32)
    volume[0, 2, [1, 2, 6]] = 1
    assert binary2instance(volume, thres_small=3, dilate_sz=3).max() == 0
    joined = binary2instance(volume, thres_small=3, dilate_sz=4)
    assert joined[0, 2].tolist() == [0, 1, 1, 0, 0, 0, 1, 0, 0]


def test_one_channel_with_or_without_its_axis():
    volume = random_volume(1, (3, 10, 70), "blobs", np.float32)[0]
    labels = binary2instance(volume, thres_small=2)
    assert labels.any()
    assert np.array_equal(binary2instance(volume[None], thres_small=2), labels)


def test_names_itself_in_errors():
    with pytest.raises(DataError, match=r"binary2instance: the volume has the shape \(3, 1, 2"):
        binary2instance(np.zeros((3, 1, 2, 2), np.float32))
    with pytest.raises(ConfigError, match=r"binary2instance\.thres: nan"):
        binary2instance(np.zeros((1, 2, 2), np.float32), thres=float("nan"))
