"""Marks: values of a label volume that are no ids.

CREMI's clefts (https://cremi.org/data) are uint64: 2⁶⁴−1 is background, 2⁶⁴−2 a voxel that does not
count, and 0 is an id like any other. Cast to other types the marks are −1 and −2, or the largest
numbers of 32, 16 or 8 bits.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from connectomics.errors import DataError

CREMI_BACKGROUND = 2**64 - 1
CREMI_INVALID = 2**64 - 2

REMEDY_BACKGROUND = "Write 0 for background, and give voxels that do not count through a mask."


class Marks(NamedTuple):
    """Values of a label volume that are no ids.

    Attributes:
        background: The value of background beside 0, or None.
        ignored: Values of voxels that do not count.
        zero: The id that voxels of value 0 get; 0 where they are background.
    """

    background: int | None = None
    ignored: tuple[int, ...] = ()
    zero: int = 0

    def __str__(self) -> str:
        """What is worth saying of them: nothing where they are CREMI's own.

        >>> str(Marks(65535, (65534,), zero=8))
        "65535 is read as background (CREMI's mark), 0 as an object of its own (number 8)"
        """
        parts = []
        if self.background not in (None, CREMI_BACKGROUND):
            parts.append(f"{self.background} is read as background (CREMI's mark)")
        if self.zero:
            read = "" if parts else " is read"
            parts.append(f"0{read} as an object of its own (number {self.zero})")
        return ", ".join(parts)


NO_MARKS = Marks()
CREMI = Marks(CREMI_BACKGROUND, (CREMI_INVALID,))


def find_marks(label: NDArray[Any] | Values, where: str = "label") -> Marks:
    """Tell which values of a label volume are marks of CREMI, in whatever type they were cast to.

    In uint64 they always are. The others may also be ids, or stand for something else in
    other data; they are marks where they fill more than half of the volume. Beside a mark of
    background, 0 is an id, as in CREMI's own scores.

    Args:
        label: (Z, Y, X) integers, of a whole volume or of enough of it; or what is known of them.
        where: The volume's name, for messages.

    Raises:
        DataError: It holds other negative numbers, or what may be a mark or an id.

    >>> find_marks(np.array([[[-1, -1, -1, 4, 0]]]))
    Marks(background=-1, ignored=(-2,), zero=5)
    """
    values = _ArrayValues(label) if isinstance(label, np.ndarray) else label
    if values.dtype == bool or not values.size:
        return NO_MARKS
    low, high = values.low, values.high
    top = -1 if low < 0 else _top(high)
    if low < -2:
        raise _negative(values, where)
    if top is None or (top < 2**31 and 0 <= top != high):
        return CREMI if values.dtype == np.uint64 else NO_MARKS
    counts = _count(values, top)
    if top == CREMI_BACKGROUND:
        return CREMI._replace(zero=counts.fresh if counts.background and counts.zero else 0)
    bits = 64 if top < 0 else top.bit_length()
    if 2 * (counts.background + counts.ignored) <= values.size:
        return _few_marks(values, where, top)
    if bits < 32 and not _is_background(bits, counts, values.size):
        return NO_MARKS
    if counts.zero > counts.others:
        raise DataError(
            where,
            f"it holds {top} (or {top - 1}) in most voxels and 0 in more than all others: 0 may "
            f"be an object, as beside CREMI's mark of background, or background, and {top} what "
            "does not count.",
            REMEDY_BACKGROUND,
        )
    return Marks(top, (top - 1,), counts.fresh if counts.zero else 0)


class _Counts(NamedTuple):
    """Voxels by what they hold, and the lowest id that is free."""

    background: int
    ignored: int
    zero: int
    others: int
    fresh: int


def _top(high: int) -> int | None:
    """The largest number of 8, 16, 32 or 64 bits, if this is it or the one before."""
    tops = (2**bits - 1 for bits in (8, 16, 32, 64))
    return next((top for top in tops if top - 1 <= high <= top), None)


def _count(values: Values, top: int) -> _Counts:
    background, ignored, zero = (values.count(one) for one in (top, top - 1, 0))
    others = values.size - background - ignored - zero
    return _Counts(background, ignored, zero, others, values.highest_but(top, top - 1) + 1)


def _is_background(bits: int, counts: _Counts, voxels: int) -> bool:
    """Whether 255 or 65535, common values of masks, cannot be anything but background."""
    fills = 2 * counts.background > voxels and counts.others > 0
    small_zero = counts.zero == 0 if bits == 8 else counts.zero <= counts.others
    return fills and small_zero and not (bits == 8 and counts.ignored)


def _few_marks(values: Values, where: str, top: int) -> Marks:
    """Where what may be marks is the least of a volume."""
    if top < 0:
        raise _negative(values, where)
    if top < 2**31:
        return NO_MARKS
    held, place = values.first(top - 1, top)
    raise DataError(
        where,
        f"it holds {held} at voxel {place}: an id, or CREMI's mark of background "
        "(2^64-1) or of voxels that do not count (2^64-2), cast to 32 bits.",
        f"If it is an id, give it another number. If not: {REMEDY_BACKGROUND}",
    )


def negative_label(label: NDArray[Any], where: str) -> DataError:
    """That a label volume holds negative numbers, and where."""
    return _negative(_ArrayValues(label), where)


def _negative(values: Values, where: str) -> DataError:
    low, place = values.first(values.low)
    return DataError(
        where,
        f"labels hold {low} at voxel {place}; they must not be negative.",
        REMEDY_BACKGROUND,
    )


class Values(Protocol):
    """What there is to know of the numbers in a volume.

    Attributes:
        dtype: Of the numbers.
        size: How many voxels there are.
        low: The least number.
        high: The greatest number.
    """

    dtype: np.dtype[Any]
    size: int
    low: int
    high: int

    def count(self, value: int) -> int:
        """How many voxels hold a number."""
        ...

    def highest_but(self, *others: int) -> int:
        """The greatest number besides others; 0 if that is all there is."""
        ...

    def first(self, *values: int) -> tuple[int, tuple[int, ...]]:
        """The first voxel that holds one of some numbers, and which."""
        ...


class _ArrayValues:
    """The numbers of an array."""

    def __init__(self, label: NDArray[Any]) -> None:
        self._label, self.dtype, self.size = label, label.dtype, label.size
        self.low, self.high = (int(label.min()), int(label.max())) if label.size else (0, 0)

    def count(self, value: int) -> int:
        return int(np.count_nonzero(is_any(self._label, [value])))

    def highest_but(self, *others: int) -> int:
        marked = is_any(self._label, others)
        return int(np.where(marked, self._label.dtype.type(0), self._label).max())

    def first(self, *values: int) -> tuple[int, tuple[int, ...]]:
        place = first_voxel(is_any(self._label, values))
        return int(self._label[place]), place


def is_any(label: NDArray[Any], values: Iterable[int]) -> NDArray[np.bool_]:
    """Where a label holds one of some values; what its type cannot hold it does not."""
    limits, found = np.iinfo(label.dtype), np.zeros(label.shape, bool)
    for value in values:
        if limits.min <= value <= limits.max:
            found |= label == value
    return found


def first_voxel(where: NDArray[np.bool_]) -> tuple[int, ...]:
    """The first voxel at which an array is true."""
    return tuple(int(i) for i in np.unravel_index(np.argmax(where), where.shape))
