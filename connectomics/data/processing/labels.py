"""Label volumes and neuron segmentations, checked, and without the marks that are no ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from connectomics.data.processing.marks import (
    NO_MARKS,
    Marks,
    find_marks,
    first_voxel,
    is_any,
    negative_label,
)
from connectomics.errors import DataError


class CleanLabel(NamedTuple):
    """A label volume without marks.

    Attributes:
        label: (Z, Y, X) unsigned integers, 0 = background.
        mask: (Z, Y, X) bool, True where the label counts, or None where all of it does.
    """

    label: NDArray[np.unsignedinteger[Any]]
    mask: NDArray[np.bool_] | None


def check_label(label: NDArray[Any], where: str = "label") -> None:
    """Make sure that an array can be labels: integers or bool, none of them negative.

    Raises:
        DataError: It holds floats or negative numbers.
    """
    if label.dtype.kind not in "biu":
        raise DataError(
            where,
            f"labels are {label.dtype}; they must be integers.",
            "Save them as integers, such as label.astype('uint16'); "
            "if this is a probability map, threshold it first.",
        )
    if label.dtype.kind == "i" and label.size and label.min() < 0:
        raise negative_label(label, where)


def clean_label(
    label: NDArray[Any], where: str = "label", *, marks: Marks | None = None
) -> CleanLabel:
    """Check a label volume and take the marks of CREMI out of it.

    Args:
        label: (Z, Y, X) integers or bool, or floats that are whole numbers.
        where: The volume's name, for messages.
        marks: Of the volume that the label is a part of; found by `find_marks` unless given.

    Returns:
        The label in the smallest unsigned type that holds its ids, and the mask.

    Raises:
        DataError: It holds fractions or negative numbers, or what may be a mark or an id.

    >>> label, mask = clean_label(np.array([[[7, 2**64 - 1, 2**64 - 2]]], np.uint64))
    >>> label.tolist(), label.dtype.name, mask.tolist()
    ([[[7, 0, 0]]], 'uint8', [[[True, True, False]]])
    """
    label = whole_numbers(label, where)
    marks = find_marks(label, where) if marks is None else marks
    mask = None
    ignored = is_any(label, marks.ignored) if marks.ignored else None
    if ignored is not None and ignored.any():
        mask = ~ignored
    background = label == marks.background if marks.background is not None else None
    if marks.zero:
        label = np.where(label == 0, marks.zero, label)
    for nothing in (ignored, background):
        if nothing is not None and nothing.any():
            label = np.where(nothing, label.dtype.type(0), label)
    check_label(label, where)
    highest = int(label.max()) if label.size else 0
    return CleanLabel(label.astype(np.min_scalar_type(highest), copy=False), mask)


def clean_neurons(neurons: NDArray[Any], where: str = "neurons") -> NDArray[Any]:
    """Check the ids of a neuron segmentation: 0 and all of CREMI's marks are no neuron.

    Args:
        neurons: (Z, Y, X) integers, or floats that are whole numbers.
        where: The volume's name, for messages.

    Returns:
        The ids in the smallest unsigned type that holds them, 0 where there is no neuron.

    Raises:
        DataError: It holds fractions or other negative numbers.

    >>> clean_neurons(np.array([[[0, 9, -1, -2]]])).tolist()
    [[[0, 9, 0, 0]]]
    """
    neurons = whole_numbers(neurons, where)
    tops = [-1] if neurons.dtype.kind == "i" else []
    tops += [2**bits - 1 for bits in (32, 64)]
    marks = [top - i for top in tops for i in range(2)]
    if neurons.size and (neurons.min() < 0 or neurons.max() >= 2**32 - 2):
        neurons = np.where(is_any(neurons, marks), neurons.dtype.type(0), neurons)
    return clean_label(neurons, where, marks=NO_MARKS).label


def whole_numbers(
    label: NDArray[Any], where: str, *, start: Sequence[int] = (0, 0, 0)
) -> NDArray[Any]:
    """Give labels as integers (or bool), whatever type they have.

    Args:
        label: (Z, Y, X) numbers.
        where: The volume's name, for messages.
        start: Voxel (z, y, x) of the volume at which they begin, for messages.

    Raises:
        DataError: It holds fractions, NaN, or numbers that its type cannot tell apart.
    """
    if label.dtype.kind in "biu":
        return label
    if label.dtype.kind != "f":
        check_label(label, where)
    with np.errstate(invalid="ignore"):
        wrong = ~np.isfinite(label) | (label != np.floor(label))
    if wrong.any():
        place = first_voxel(wrong)
        raise DataError(
            where,
            f"labels must be whole numbers, and it holds {label[place]:g} at voxel "
            f"{_moved(place, start)}.",
            "If these are probabilities, decode or threshold them first; if grey values, name "
            "the label file.",
        )
    most = 2 ** (np.finfo(label.dtype).nmant + 1)
    if label.size and np.abs(label).max() > most:
        place = first_voxel(np.abs(label) > most)
        raise DataError(
            where,
            f"it holds {label[place]:.20g} at voxel {_moved(place, start)}: beyond {most} "
            f"{label.dtype} cannot tell one number from the next, as CREMI's marks 2^64-1 and "
            "2^64-2.",
            "Save labels as integers, from the file that they were in before.",
        )
    return label.astype(np.int64)


def _moved(place: Sequence[int], start: Sequence[int]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(place, start, strict=True)) if any(start) else tuple(place)
