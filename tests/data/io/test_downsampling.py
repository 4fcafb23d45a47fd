from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from connectomics.data.io import downsampling
from connectomics.data.io.downsampling import downsample
from connectomics.data.io.pyramid import Pyramid

HALVES = Pyramid("mode", ((1, 2, 2), (2, 4, 4)))


def modes(*rows: list[int]) -> list[list[int]]:
    (level,) = downsample(np.array([rows], np.uint32), Pyramid("mode", ((1, 2, 2),)))
    assert level.dtype == np.uint32
    return level[0].tolist()


def test_the_most_frequent_label_wins_and_background_where_it_is_alone() -> None:
    assert modes([0, 0, 0, 0, 1, 2], [0, 0, 0, 7, 2, 2]) == [[0, 7, 2]]


def test_of_equally_frequent_labels_the_first_wins_whatever_its_number() -> None:
    assert modes([1, 2, 2, 1], [2, 1, 1, 2]) == [[1, 2]]
    assert modes([0, 4, 0, 3], [3, 0, 4, 0]) == [[4, 3]]


def test_at_the_far_end_fewer_voxels_count() -> None:
    assert modes([5, 5, 9], [5, 5, 0], [0, 8, 3]) == [[5, 9], [8, 3]]


def test_what_is_thin_does_not_vanish_and_no_label_is_invented() -> None:
    labels = np.zeros((8, 32, 32), np.uint64)
    labels[3, :, 15], labels[3, :, 16] = 2**40 - 1, 2**40
    for level in downsample(labels, HALVES):
        assert set(np.unique(level)) == {0, 2**40 - 1, 2**40}


def test_a_level_follows_from_the_one_before() -> None:
    # Of all 16 voxels most are 2; of the four blocks of four, most are 1.
    labels = np.array([[[1, 1, 1, 1], [1, 0, 0, 1], [1, 1, 2, 2], [2, 0, 2, 2]]], np.uint8)
    first, second = downsample(labels, HALVES)
    assert first.tolist() == [[[1, 1], [1, 2]]]
    assert second.tolist() == [[[1]]]
    assert Counter(labels.ravel().tolist()) == {1: 8, 2: 5, 0: 3}


def test_means_are_of_the_finest_level_and_round_halves_up() -> None:
    pyramid = Pyramid("mean", ((1, 2, 2), (1, 4, 4)))
    values = np.array([[[1, 2, 0, 0], [2, 1, 1, 1], [255, 255, 3, 3], [255, 255, 3, 4]]], np.uint8)
    first, second = downsample(values, pyramid)
    assert first.tolist() == [[[2, 1], [255, 3]]]  # 1.5, 0.5, 255, 3.25
    assert second.tolist() == [[[65]]]  # 1041 / 16 = 65.06; that of the level before is 65.25
    assert (first.dtype, second.dtype) == (np.uint8, np.uint8)


def test_means_at_the_far_end_are_of_what_is_there() -> None:
    values = np.array([[[0, 8, 4]], [[4, 4, 8]], [[1, 1, 5]]], np.uint8)
    (level,) = downsample(values, Pyramid("mean", ((2, 2, 2),)))
    assert level.tolist() == [[[4, 6]], [[1, 5]]]


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_means_of_channels_stay_apart_in_the_dtype_of_the_store(dtype: str) -> None:
    values = np.zeros((2, 1, 2, 3), dtype)
    values[0, 0] = [[0.1, 0.2, 1], [0.3, 0.4, 0.5]]
    (level,) = downsample(values, Pyramid("mean", ((1, 2, 2),)))
    assert level.dtype == dtype
    np.testing.assert_array_equal(level, np.array([[[[0.25, 0.75]]], [[[0, 0]]]], dtype))


@pytest.mark.parametrize("rule", ["mean", "mode"])
def test_several_threads_and_parts_that_are_not_contiguous(rule: str, monkeypatch) -> None:
    values = np.random.default_rng(0).integers(0, 4, (2, 43, 30, 22)).astype(np.uint8)
    pyramid = Pyramid(rule, ((1, 2, 2), (2, 4, 4), (4, 8, 8), (8, 8, 8), (16, 8, 8), (32, 8, 8)))
    monkeypatch.setattr(downsampling, "available_cpus", lambda: 3)
    expected = downsample(values, pyramid)
    monkeypatch.setattr(downsampling, "FEW", 1)
    for found in (downsample(values, pyramid), downsample(np.asfortranarray(values), pyramid)):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)
    assert expected[-1].shape == (2, 2, 4, 3)
    if rule == "mean":
        assert expected[2][1, 10, 3, 2] == np.floor(values[1, 40:, 24:, 16:].mean() + 0.5)
