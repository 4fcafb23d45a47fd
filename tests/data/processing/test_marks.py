"""CREMI's marks in every type they get cast to, and labels that only look like them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from connectomics.data.processing import clean_label, clean_neurons, find_marks
from connectomics.data.processing.marks import CREMI, NO_MARKS
from connectomics.errors import DataError

BACKGROUND, INVALID = 2**64 - 1, 2**64 - 2

# 20 voxels of background, two of each of the clefts 0, 7 and 8, two that do not count.
CLEFTS = np.array([BACKGROUND] * 20 + [0, 0, 7, 7, 8, 8, INVALID, INVALID], np.uint64)
CLEFTS = CLEFTS.reshape(2, 2, 7)
CLEAN = [0] * 20 + [9, 9, 7, 7, 8, 8, 0, 0]
COUNTS = [True] * 26 + [False] * 2


@pytest.mark.parametrize(
    "dtype", ["uint64", "int64", "int32", "int16", "int8", "uint32", "uint16", ">u8", ">i4", "<u4"]
)
def test_clefts_are_known_in_every_type(dtype: str) -> None:
    label, mask = clean_label(CLEFTS.astype(dtype))
    assert label.ravel().tolist() == CLEAN
    assert label.dtype == np.uint8
    assert mask is not None
    assert mask.ravel().tolist() == COUNTS


@pytest.mark.parametrize(("narrow", "wide"), [("uint32", "int64"), ("uint32", "uint64")])
def test_marks_that_were_cast_twice(narrow: str, wide: str) -> None:
    assert clean_label(CLEFTS.astype(narrow).astype(wide)).label.ravel().tolist() == CLEAN


def test_marks_in_floats_that_hold_them() -> None:
    assert clean_label(CLEFTS.astype("uint32").astype("float64")).label.ravel().tolist() == CLEAN


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_marks_that_fell_together_are_refused(dtype: str) -> None:
    with pytest.raises(DataError, match=r"1844674407370955161. at voxel"):
        clean_label(CLEFTS.astype(dtype))


def test_a_part_is_read_by_the_marks_of_the_whole() -> None:
    marks = find_marks(CLEFTS)
    assert (marks.background, marks.ignored, marks.zero) == (BACKGROUND, (INVALID,), 9)
    assert clean_label(CLEFTS[1:, 1:, -1:], marks=marks).label.tolist() == [[[0]]]
    zeros = np.zeros((1, 2, 2), np.uint64)
    assert clean_label(zeros, marks=marks).label.tolist() == [[[9, 9], [9, 9]]]
    assert clean_label(zeros).label.max() == 0


def test_zero_is_background_without_a_mark_of_background() -> None:
    label, mask = clean_label(np.array([[[0, 3, INVALID]]], np.uint64))
    assert label.tolist() == [[[0, 3, 0]]]
    assert mask is not None
    assert mask.tolist() == [[[True, True, False]]]


@pytest.mark.parametrize("dtype", ["uint64", "int64", "uint32"])
def test_a_volume_of_which_nothing_counts(dtype: str) -> None:
    label, mask = clean_label(np.full((2, 2, 2), INVALID, np.uint64).astype(dtype))
    assert label.max() == 0
    assert mask is not None
    assert not mask.any()


def labels(background: int, *ids: int, dtype: str, share: int = 10) -> NDArray[Any]:
    """A background of `share` parts, and two voxels of each id."""
    values = [background] * (2 * share) + [i for i in ids for _ in range(2)]
    return np.array(values, dtype).reshape(1, 1, -1)


@pytest.mark.parametrize(
    "label",
    [
        labels(0, 255, dtype="uint8"),  # a mask
        labels(255, 0, dtype="uint8"),  # one that may be inverted, or not
        labels(0, *range(1, 256), dtype="uint8", share=1),
        labels(0, 253, 254, 255, dtype="uint8"),
        labels(255, 3, 254, dtype="uint8"),  # 254 may be an id or a mark
        labels(65535, 0, dtype="uint16"),
        labels(0, 65533, 65534, 65535, dtype="uint16"),
        labels(0, 65535, dtype="int64"),
        labels(0, 2**31 - 1, dtype="int32"),
        labels(0, 2**32 - 3, 4, dtype="uint32"),
        labels(0, 2**63 - 1, dtype="int64"),
        labels(0, 2**33, dtype="int64"),
    ],
)
def test_ordinary_ids_are_not_mistaken_for_marks(label: NDArray[Any]) -> None:
    assert find_marks(label) == NO_MARKS
    clean, mask = clean_label(label)
    assert np.array_equal(clean, label)
    assert mask is None


def test_large_ids_of_uint64_stay() -> None:
    label = labels(0, 2**64 - 3, 2**63, 2**32 - 1, 255, dtype="uint64")
    assert find_marks(label) == CREMI
    assert np.array_equal(clean_label(label).label, label)


def test_255_as_background_of_bytes() -> None:
    assert clean_label(labels(255, 1, 2, dtype="uint8")).label.max() == 2
    assert str(find_marks(labels(255, 1, 2, dtype="uint8"))) == (
        "255 is read as background (CREMI's mark)"
    )


@pytest.mark.parametrize("dtype", ["int64", "int32", "int8"])
def test_what_negative_numbers_mean_is_asked(dtype: str) -> None:
    for label in (labels(0, 1, -1, dtype=dtype), labels(-1, 1, -3, dtype=dtype)):
        with pytest.raises(DataError, match=r"labels hold -[13] at voxel .* must not be negative"):
            clean_label(label, "syn.h5")
    ignored = np.array([[[-1] * 30 + [0] * 9 + [1] * 3 + [2] * 3]], dtype)
    with pytest.raises(DataError, match="0 may be an object"):  # or background, beside -1: ignored
        clean_label(ignored, "syn.h5")


@pytest.mark.parametrize("value", [2**32 - 1, 2**32 - 2])
def test_what_a_few_largest_numbers_of_32_bits_mean_is_asked(value: int) -> None:
    for dtype in ("uint32", "int64"):
        with pytest.raises(DataError, match=rf"it holds {value} at voxel .*: an id, or CREMI's"):
            clean_label(labels(0, 1, value, dtype=dtype))


def test_marks_and_zero_are_no_neuron() -> None:
    for dtype in ("uint64", "int64", "int32", "uint32"):
        ids = np.array([[[0, 5, BACKGROUND, INVALID, INVALID]]], np.uint64).astype(dtype)
        assert clean_neurons(ids).tolist() == [[[0, 5, 0, 0, 0]]]
    assert clean_neurons(np.array([[[255, 0, 254]]], np.uint8)).tolist() == [[[255, 0, 254]]]
    assert clean_neurons(np.array([[[3.0, 0.0]]])).tolist() == [[[3, 0]]]
    assert clean_neurons(np.array([[[2**40]]])).tolist() == [[[2**40]]]
    with pytest.raises(DataError, match="must not be negative"):
        clean_neurons(np.array([[[-7]]]), "neurons.h5")
