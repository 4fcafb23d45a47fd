"""Masks of one bit per voxel, and their dilation."""

from __future__ import annotations

import numpy as np
import pytest
from decoding_oracle import dilate
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation

from connectomics.decoding.bits import BitMask, dilate_in_plane


def test_empty_takes_an_eighth_of_a_byte_per_voxel():
    mask = BitMask.empty((2, 3, 128))
    assert mask.bits.shape == (2, 3, 2)
    assert mask.bits.nbytes == 2 * 3 * 128 // 8
    assert not mask.unpack().any()


@pytest.mark.parametrize("width", [1, 63, 64, 65, 130])
def test_packing_and_unpacking(width):
    array = np.random.default_rng(0).random((2, 3, width)) < 0.5
    mask = BitMask.pack(array)
    assert np.array_equal(mask.unpack(), array)
    assert mask.bits.shape == (2, 3, -(-width // 64))


def test_the_bit_of_a_voxel():
    array = np.zeros((1, 1, 70), bool)
    array[0, 0, [0, 3, 65]] = True
    assert BitMask.pack(array).bits.tolist() == [[[0b1001, 0b10]]]


@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(
        st.integers(1, 3), st.integers(1, 20), st.sampled_from([1, 5, 63, 64, 65, 128, 200])
    ),
    size=st.sampled_from([0, 1, 3, 5, 7, 31]),
    density=st.sampled_from([0.001, 0.05, 0.5]),
)
@settings(max_examples=100, deadline=None)
def test_dilation_by_odd_squares(seed, shape, size, density):
    array = np.random.default_rng(seed).random(shape) < density
    mask = BitMask.pack(array)
    dilate_in_plane(mask, size)
    assert np.array_equal(mask.unpack(), dilate(array, size))
    assert np.array_equal(BitMask.pack(mask.unpack()).bits, mask.bits)  # none past X


@pytest.mark.parametrize("size", [2, 4, 64, 65, 130, 400])
def test_dilation_reaches_as_far_as_the_square(size):
    array = np.zeros((1, 300, 300), bool)
    array[0, 140, 150] = True
    mask = BitMask.pack(array)
    dilate_in_plane(mask, size)
    after = (size - 1) // 2
    rows = slice(max(0, 140 + after - size + 1), 140 + after + 1)
    columns = slice(max(0, 150 + after - size + 1), 150 + after + 1)
    expected = np.zeros_like(array)
    expected[0, rows, columns] = True
    assert np.array_equal(mask.unpack(), expected)
    if size <= 4:
        assert np.array_equal(expected, binary_dilation(array, np.ones((1, size, size))))


@pytest.mark.parametrize("size", [np.uint8(0), np.uint8(1), np.int8(0)])
def test_small_integers_do_not_wrap(size):
    array = np.random.default_rng(1).random((2, 9, 70)) < 0.05
    mask = BitMask.pack(array)
    dilate_in_plane(mask, size)
    assert np.array_equal(mask.unpack(), array)


@pytest.mark.parametrize("size", [2**40, 10**30])
def test_a_square_larger_than_the_section_fills_it(size):
    array = np.zeros((2, 5, 130), bool)
    array[1, 4, 129] = True
    mask = BitMask.pack(array)
    dilate_in_plane(mask, size)
    assert mask.unpack()[1].all()
    assert not mask.unpack()[0].any()
