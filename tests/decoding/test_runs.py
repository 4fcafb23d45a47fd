"""Runs, components and what is painted from them."""

from __future__ import annotations

import numpy as np
import pytest
from decoding_oracle import drop_small
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label

from connectomics.decoding import runs as runs_module
from connectomics.decoding.bits import BitMask
from connectomics.decoding.runs import (
    count_voxels,
    find_owners,
    find_runs,
    label_components,
    paint,
    remove_small,
)

masks = st.builds(
    lambda seed, shape, density: np.random.default_rng(seed).random(shape) < density,
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 6), st.integers(1, 8), st.sampled_from([1, 2, 63, 64, 65, 140])),
    st.sampled_from([0.0, 0.02, 0.3, 0.6, 1.0]),
)


def test_runs_of_rows():
    array = np.zeros((1, 3, 130), bool)
    array[0, 0, 60:70] = array[0, 0, 129] = True
    array[0, 2] = True
    runs = find_runs(BitMask.pack(array))
    assert runs.start.tolist() == [60, 129, 0]
    assert runs.stop.tolist() == [70, 130, 130]
    assert runs.first.tolist() == [0, 2, 2, 3]


@given(masks)
@settings(max_examples=150, deadline=None)
def test_components_are_numbered_as_a_scan_meets_them(array):
    mask = BitMask.pack(array)
    components = label_components(mask)
    labels = np.zeros(array.shape, np.int32)
    paint(labels, *components[:2], np.arange(1, components.count + 1, dtype=np.int32))
    expected = label(array, connectivity=1)
    assert components.count == expected.max()
    assert np.array_equal(labels, expected)  # scikit-image numbers in scan order too
    assert np.array_equal(count_voxels(*components), np.bincount(expected.ravel())[1:])


@given(masks, st.integers(0, 40))
@settings(max_examples=100, deadline=None)
def test_small_pieces_are_cleared(array, min_size):
    mask = BitMask.pack(array)
    remove_small(mask, min_size)
    assert np.array_equal(mask.unpack(), drop_small(array, min_size))


def test_many_runs_are_numbered_in_wider_integers(monkeypatch):
    array = np.random.default_rng(0).random((3, 9, 70)) < 0.4
    narrow = label_components(BitMask.pack(array))
    assert narrow.of_run.dtype == np.int32
    monkeypatch.setattr(runs_module, "_index_type", lambda count: np.int64)
    wide = label_components(BitMask.pack(array))
    assert wide.of_run.dtype == np.int64
    assert np.array_equal(wide.of_run, narrow.of_run)


@pytest.mark.parametrize(("count", "expected"), [(2**31 - 1, np.int32), (2**31, np.int64)])
def test_the_integers_hold_every_run(count, expected):
    assert runs_module._index_type(count) == expected


def test_owners_and_runs_without_one():
    outer = np.array([[[1, 1, 1, 0, 1, 1, 0, 0, 1]]], bool)
    inner = np.array([[[0, 1, 0, 0, 1, 0, 1, 0, 1]]], bool)
    inner_runs = find_runs(BitMask.pack(inner))
    owner = find_owners(inner_runs, label_components(BitMask.pack(outer)), outer.shape)
    assert owner.tolist() == [0, 1, -1, 2]
    labels = np.zeros(outer.shape, np.uint8)
    paint(labels, inner_runs, owner, np.array([7, 8, 9], np.uint8))
    assert labels[0, 0].tolist() == [0, 7, 0, 0, 8, 0, 0, 0, 9]


def test_a_run_that_sticks_out_has_no_owner():
    outer = np.array([[[0, 1, 1, 0]]], bool)
    inner = np.array([[[1, 1, 0, 0]]], bool)
    owner = find_owners(
        find_runs(BitMask.pack(inner)), label_components(BitMask.pack(outer)), outer.shape
    )
    assert owner.tolist() == [-1]
