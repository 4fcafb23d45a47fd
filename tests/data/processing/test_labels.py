from __future__ import annotations

import numpy as np
import pytest

from connectomics.data.processing import check_label, clean_label
from connectomics.errors import DataError


def test_cremis_marks_become_background_and_a_mask() -> None:
    label = np.array([[[2**64 - 1, 5, 2**64 - 2, 2**64 - 1, 300]]], np.uint64)
    cleaned = clean_label(label)
    assert cleaned.label.tolist() == [[[0, 5, 0, 0, 300]]]
    assert cleaned.label.dtype == np.uint16
    assert cleaned.mask is not None
    assert cleaned.mask.tolist() == [[[True, True, False, True, True]]]
    assert label[0, 0, 0] == 2**64 - 1  # the input is untouched


def test_background_alone_needs_no_mask() -> None:
    cleaned = clean_label(np.array([[[2**64 - 1, 7]]], np.uint64))
    assert cleaned.label.tolist() == [[[0, 7]]]
    assert cleaned.mask is None


@pytest.mark.parametrize(
    ("highest", "dtype"),
    [(0, "uint8"), (255, "uint8"), (256, "uint16"), (65536, "uint32"), (2**32, "uint64")],
)
def test_the_type_fits_the_ids(highest: int, dtype: str) -> None:
    cleaned = clean_label(np.array([[[0, highest]]], np.int64))
    assert cleaned.label.dtype == np.dtype(dtype)
    assert cleaned.label.tolist() == [[[0, highest]]]


def test_bool_becomes_uint8() -> None:
    cleaned = clean_label(np.array([[[True, False]]]))
    assert cleaned.label.dtype == np.uint8
    assert cleaned.label.tolist() == [[[1, 0]]]


def test_labels_that_fit_already_are_not_copied() -> None:
    label = np.array([[[1, 2]]], np.uint8)
    assert np.shares_memory(clean_label(label).label, label)


def test_empty_labels() -> None:
    assert clean_label(np.zeros((0, 2, 2), np.int64)).label.shape == (0, 2, 2)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_that_are_whole_numbers_are_labels(dtype: str) -> None:
    label = np.array([[[0, 1, 2, 0, 2**11]]], dtype)
    assert clean_label(label).label.tolist() == [[[0, 1, 2, 0, 2048]]]
    assert clean_label(label).label.dtype == np.uint16


def test_floats_count_to_2_to_the_53() -> None:
    assert clean_label(np.array([[[0, 2.0**53]]])).label.tolist() == [[[0, 2**53]]]


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf, -0.25])
def test_fractions_are_no_labels(value: float) -> None:
    with pytest.raises(DataError, match=r"syn\.h5: .* it holds .* at voxel \(0, 1, 0\)"):
        clean_label(np.array([[[0.0], [value]]]), where="syn.h5")


@pytest.mark.parametrize(
    ("dtype", "value"), [("float64", 2.0**64), ("float32", 2.0**32), ("float64", -(2.0**54))]
)
def test_floats_that_stand_for_several_numbers_are_refused(dtype: str, value: float) -> None:
    with pytest.raises(DataError, match="cannot tell one number from the next"):
        clean_label(np.array([[[0, value]]], dtype))


def test_complex_numbers_are_no_labels() -> None:
    with pytest.raises(DataError, match="labels are complex64; they must be integers"):
        clean_label(np.ones((1, 2, 2), "complex64"), where="syn.h5")


def test_negative_labels_are_refused_with_their_place() -> None:
    label = np.zeros((2, 3, 4), np.int32)
    label[1, 2, 0] = -2
    with pytest.raises(DataError, match=r"syn\.h5: labels hold -2 at voxel \(1, 2, 0\)"):
        check_label(label, "syn.h5")
