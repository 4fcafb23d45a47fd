from __future__ import annotations

import numpy as np
import pytest

from connectomics.data.processing import check_label, clean_label
from connectomics.errors import DataError


def test_cremis_marks_become_background_and_a_mask() -> None:
    label = np.array([[[2**64 - 1, 5, 2**64 - 2, 0, 300]]], np.uint64)
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


@pytest.mark.parametrize("dtype", ["float16", "float64", "complex64"])
def test_floats_are_refused_even_if_they_hold_integers(dtype: str) -> None:
    with pytest.raises(DataError) as caught:
        clean_label(np.ones((1, 2, 2), dtype), where="syn.h5")
    text = str(caught.value)
    assert f"syn.h5: labels are {dtype}; they must be integers" in text
    assert "astype('uint16')" in text


def test_negative_labels_are_refused_with_their_place() -> None:
    label = np.zeros((2, 3, 4), np.int32)
    label[1, 2, 0] = -2
    with pytest.raises(DataError, match=r"syn\.h5: labels hold -2 at voxel \(1, 2, 0\)"):
        check_label(label, "syn.h5")
