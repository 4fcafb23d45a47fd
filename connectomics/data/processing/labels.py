"""What label volumes may hold, and the marks that some data sets put into them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from connectomics.errors import DataError

# CREMI's clefts: https://cremi.org/data. Both are far beyond any id.
CREMI_BACKGROUND = 2**64 - 1
CREMI_INVALID = 2**64 - 2


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
        place = tuple(int(i) for i in np.unravel_index(np.argmin(label), label.shape))
        raise DataError(
            where,
            f"labels hold {label.min()} at voxel {place}; they must not be negative.",
            "Write 0 for background, and give unlabelled voxels through a mask. -1 and -2 may be "
            "CREMI's marks read as int64: label.astype('uint64') brings them back.",
        )


def clean_label(label: NDArray[Any], where: str = "label") -> CleanLabel:
    """Check a label volume and take the marks of CREMI out of it.

    In a uint64 volume 2⁶⁴−1 is background and 2⁶⁴−2 is a voxel that does not count; both
    become 0. Negative numbers, which the same marks turn into when read as int64, are errors.

    Args:
        label: (Z, Y, X) integers or bool.
        where: The volume's name, for messages.

    Returns:
        The label in the smallest unsigned type that holds its ids, and the mask.

    Raises:
        DataError: It holds floats or negative numbers.

    >>> label, mask = clean_label(np.array([[[7, 2**64 - 1, 2**64 - 2]]], np.uint64))
    >>> label.tolist(), label.dtype.name, mask.tolist()
    ([[[7, 0, 0]]], 'uint8', [[[True, True, False]]])
    """
    check_label(label, where)
    mask = None
    if label.dtype == np.uint64:
        invalid = label == CREMI_INVALID
        if invalid.any():
            mask = ~invalid
        label = np.where(label >= CREMI_INVALID, np.uint64(0), label)
    highest = int(label.max()) if label.size else 0
    return CleanLabel(label.astype(np.min_scalar_type(highest), copy=False), mask)
