from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from connectomics.data.processing import binary, polarity, seg_to_polarity
from connectomics.errors import DataError

labels = hnp.arrays(np.uint16, hnp.array_shapes(min_dims=3, max_dims=3, max_side=5))


def by_hand(label: NDArray[Any]) -> NDArray[np.int64]:
    sides = np.zeros(label.shape, np.int64)
    for voxel in np.ndindex(label.shape):
        value = int(label[voxel])
        if value > 0:
            sides[voxel] = 1 if value % 2 == 1 else 2
    return sides


@given(labels)
def test_exclusive_classes(label: NDArray[np.uint16]) -> None:
    classes = seg_to_polarity(label, exclusive=True)
    assert classes.dtype == np.int64
    assert np.array_equal(classes, by_hand(label))


@given(labels)
def test_channels(label: NDArray[np.uint16]) -> None:
    channels = seg_to_polarity(label)
    sides = by_hand(label)
    assert channels.dtype == np.float32
    assert channels.shape == (3, *label.shape)
    assert np.array_equal(channels[0], sides == 1)
    assert np.array_equal(channels[1], sides == 2)
    assert np.array_equal(channels[2], sides > 0)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "uint32", "int64", "uint64"])
def test_every_integer_type(dtype: str) -> None:
    label = np.array([[[0, 1, 1, 0]]]).astype(dtype)
    assert seg_to_polarity(label, exclusive=True).tolist() == [[[0, 1, 1, 0]]]


def test_large_ids_keep_their_parity() -> None:
    label = np.array([[[2**53 + 1, 2**53 + 2, 2**64 - 4, 2**64 - 3]]], np.uint64)
    assert seg_to_polarity(label, exclusive=True).tolist() == [[[1, 2, 2, 1]]]


def test_a_semantic_volume_follows_the_same_rule() -> None:
    label = np.array([[[0, 1, 2]]], np.uint8)
    assert seg_to_polarity(label).tolist() == [[[[0, 1, 0]]], [[[0, 0, 1]]], [[[0, 1, 1]]]]


def test_polarity_as_a_target() -> None:
    label = np.array([[[0, 3, 4]]], np.uint8)
    assert polarity(label).shape == (3, 1, 1, 3)
    exclusive = polarity(label, exclusive=True)
    assert exclusive.dtype == np.float32
    assert exclusive.tolist() == [[[[0, 1, 2]]]]


def test_binary_as_a_target() -> None:
    target = binary(np.array([[[0, 3, 300]]], np.uint16))
    assert target.dtype == np.float32
    assert target.tolist() == [[[[0, 1, 1]]]]


targets = pytest.mark.parametrize("target", [seg_to_polarity, polarity, binary])


@targets
def test_float_labels_are_refused(target: Callable[..., Any]) -> None:
    with pytest.raises(DataError, match="labels are float32; they must be integers"):
        target(np.zeros((1, 2, 3), np.float32))


@targets
def test_negative_labels_are_refused(target: Callable[..., Any]) -> None:
    label = np.zeros((2, 3, 4), np.int16)
    label[1, 0, 2] = -1
    with pytest.raises(DataError, match=r"labels hold -1 at voxel \(1, 0, 2\)"):
        target(label)


@targets
def test_other_shapes_are_refused(target: Callable[..., Any]) -> None:
    with pytest.raises(DataError, match=r"shape \(3, 4\).*\n.*\(Z, Y, X\)"):
        target(np.zeros((3, 4), np.uint8))


@targets
def test_cremis_marks_are_refused(target: Callable[..., Any]) -> None:
    with pytest.raises(DataError, match="CREMI's marks"):
        target(np.array([[[0, 1, 2**64 - 1]]], np.uint64))


def test_empty_crops_are_no_error() -> None:
    assert seg_to_polarity(np.zeros((0, 3, 4), np.uint64)).shape == (3, 0, 3, 4)
    assert binary(np.zeros((0, 3, 4), np.int64)).shape == (1, 0, 3, 4)
