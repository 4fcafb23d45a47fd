"""Boxes, where their voxels lie in nanometres, block grids and window positions.

Everything is in the order (z, y, x). A box is half-open: `start` is in it, `stop` is not.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Triple = tuple[int, int, int]
Nm = tuple[float, float, float]

VOXEL_NM = (1e-3, 1e6)
"""The smallest and the largest edge of a voxel. Beyond them the reach of a setting in nm is more
voxels than any volume has, or none."""


@dataclass(frozen=True)
class Box:
    """A region of a volume, in voxels. It may reach outside the volume, on any side.

    Attributes:
        start: First voxel (z, y, x).
        stop: One past the last voxel (z, y, x).

    >>> box = Box((1, 2, 3), (4, 6, 8))
    >>> box.shape, box.size
    ((3, 4, 5), 60)
    >>> box.shift((10, 0, -3))
    Box(start=(11, 2, 0), stop=(14, 6, 5))
    >>> print(box)
    [1:4, 2:6, 3:8]
    """

    start: Triple
    stop: Triple

    def __str__(self) -> str:
        ends = zip(self.start, self.stop, strict=True)
        return f"[{', '.join(f'{a}:{b}' for a, b in ends)}]"

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", _triple(self.start))
        object.__setattr__(self, "stop", _triple(self.stop))
        if any(b < a for a, b in zip(self.start, self.stop, strict=True)):
            raise ValueError(f"a box cannot stop {self.stop} before it starts {self.start}")

    @classmethod
    def of_index(cls, index: Any, shape: Sequence[int]) -> Box:
        """What slices take of a volume of `shape` (Z, Y, X), counted as in a list.

        Raises:
            ValueError: Something else than slices without a step.

        >>> Box.of_index((slice(2, None), ..., slice(-3, None)), (10, 20, 30))
        Box(start=(2, 0, 27), stop=(10, 20, 30))
        """
        parts = list(index) if isinstance(index, tuple) else [index]
        at = next((i for i, part in enumerate(parts) if part is ...), len(parts))
        missing = len(shape) - len([part for part in parts if part is not ...])
        parts[at : at + 1] = [slice(None)] * missing
        if len(parts) != len(shape) or not all(
            isinstance(part, slice) and part.step in (None, 1) for part in parts
        ):
            raise ValueError(f"{index} is not three slices (z, y, x) without a step")
        ends = [part.indices(length)[:2] for part, length in zip(parts, shape, strict=True)]
        return cls(_triple(a for a, _ in ends), _triple(max(a, b) for a, b in ends))

    @property
    def shape(self) -> Triple:
        """Voxels along each axis."""
        return _triple(b - a for a, b in zip(self.start, self.stop, strict=True))

    @property
    def size(self) -> int:
        """Number of voxels."""
        return math.prod(self.shape)

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Index of this box in a (Z, Y, X) array.

        Raises:
            ValueError: The box starts below zero, where a slice would count from the end.

        >>> np.arange(24).reshape(2, 3, 4)[Box((0, 1, 2), (2, 2, 4)).slices].tolist()
        [[[6, 7]], [[18, 19]]]
        """
        if min(self.start) < 0:
            raise ValueError(f"{self} starts below zero; clip it to the volume first")
        z, y, x = (slice(a, b) for a, b in zip(self.start, self.stop, strict=True))
        return z, y, x

    def clip(self, shape: Sequence[int]) -> Box:
        """The part inside a volume of `shape`; a box of no voxels when there is none.

        >>> Box((-2, 0, 5), (3, 4, 12)).clip((10, 3, 8))
        Box(start=(0, 0, 5), stop=(3, 3, 8))
        """
        start = _triple(min(max(a, 0), n) for a, n in zip(self.start, shape, strict=True))
        stop = _triple(min(max(b, 0), n) for b, n in zip(self.stop, shape, strict=True))
        return Box(start, stop)

    def shared_with(self, other: Box) -> Box:
        """The part that lies in another box too; a box of no voxels when there is none.

        >>> Box((0, 0, 0), (4, 4, 4)).shared_with(Box((2, 1, 4), (6, 2, 8)))
        Box(start=(2, 1, 4), stop=(4, 2, 4))
        """
        return self.shift([-a for a in other.start]).clip(other.shape).shift(other.start)

    def grow(self, margin: int | Sequence[int]) -> Box:
        """Add `margin` voxels on both sides of every axis, or (z, y, x) of them.

        >>> Box((1, 5, 5), (2, 6, 6)).grow((0, 2, 3))
        Box(start=(1, 3, 2), stop=(2, 8, 9))
        """
        margins = (margin,) * 3 if isinstance(margin, int) else margin
        start = _triple(a - m for a, m in zip(self.start, margins, strict=True))
        stop = _triple(b + m for b, m in zip(self.stop, margins, strict=True))
        return Box(start, stop)

    def shift(self, offset: Sequence[int]) -> Box:
        """Move by `offset` voxels (z, y, x)."""
        start = _triple(a + d for a, d in zip(self.start, offset, strict=True))
        stop = _triple(b + d for b, d in zip(self.stop, offset, strict=True))
        return Box(start, stop)

    def fits_in(self, shape: Sequence[int]) -> bool:
        """Whether the whole box lies inside a volume of `shape`.

        >>> Box((0, 0, 1), (2, 3, 5)).fits_in((2, 3, 4))
        False
        """
        return min(self.start) >= 0 and all(b <= n for b, n in zip(self.stop, shape, strict=True))


@dataclass(frozen=True)
class VoxelGrid:
    """Where the voxels of a volume lie: how large they are, and where the first of them is.

    Whether an integer position means a voxel's centre or its lower corner is the caller's choice,
    and what is converted keeps it.

    Attributes:
        resolution: nm per voxel (z, y, x), or None where nobody says.
        offset_nm: Position of voxel (0, 0, 0) in nm (z, y, x).

    >>> grid = VoxelGrid((30, 8, 8), offset_nm=(300, 0, 4))
    >>> grid.to_nm([[2, 10, 1]]).tolist()
    [[360.0, 80.0, 12.0]]
    >>> grid.to_voxels([[360, 80, 12]]).tolist()
    [[2.0, 10.0, 1.0]]
    """

    resolution: Nm | None = None
    offset_nm: Nm = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if self.resolution is not None:
            sizes = _nm(self.resolution)
            if not all(size > 0 for size in sizes):
                raise ValueError(f"resolution {sizes} must be three positive numbers (z, y, x)")
            object.__setattr__(self, "resolution", sizes)
        object.__setattr__(self, "offset_nm", _nm(self.offset_nm))

    @classmethod
    def of(cls, resolution: Sequence[float] | None, offset_nm: Sequence[float] = (0, 0, 0)) -> Self:
        """From numbers in any sequence."""
        return cls(None if resolution is None else _nm(resolution), _nm(offset_nm))

    def to_nm(self, voxels: ArrayLike) -> NDArray[np.float64]:
        """(..., 3) positions in nm of (..., 3) positions in voxels, fractions allowed."""
        return np.asarray(voxels, np.float64) * self._scale + np.asarray(self.offset_nm)

    def to_voxels(self, points_nm: ArrayLike) -> NDArray[np.float64]:
        """(..., 3) positions in voxels, with fractions, of (..., 3) positions in nm."""
        return (np.asarray(points_nm, np.float64) - np.asarray(self.offset_nm)) / self._scale

    def at(self, start: Sequence[int]) -> VoxelGrid:
        """That of a part that begins at a voxel (z, y, x); where no size is known, nothing moves.

        >>> VoxelGrid((30, 8, 8), offset_nm=(300, 0, 4)).at((2, 10, 1)).offset_nm
        (360.0, 80.0, 12.0)
        """
        return self if self.resolution is None else replace(self, offset_nm=_nm(self.to_nm(start)))

    def resized(self, shape: Sequence[int], new_shape: Sequence[int]) -> VoxelGrid:
        """That of a volume that was resized; its extent and its offset stay.

        >>> VoxelGrid((30, 8, 8)).resized((10, 100, 100), (10, 50, 33)).resolution
        (30.0, 16.0, 24.242424242424242)
        """
        if self.resolution is None:
            return self
        axes = zip(self.resolution, shape, new_shape, strict=True)
        return replace(self, resolution=_nm(nm * old / new for nm, old, new in axes))

    @property
    def _scale(self) -> NDArray[np.float64]:
        if self.resolution is None:
            raise ValueError("the size of a voxel is not known")
        return np.asarray(self.resolution)


def whole(shape: Sequence[int]) -> Box:
    """The box that covers a volume of `shape`; leading channel axes do not count.

    >>> whole((3, 10, 20, 30))
    Box(start=(0, 0, 0), stop=(10, 20, 30))
    """
    return Box((0, 0, 0), _triple(shape[-3:]))


def window_starts(length: int, window: int, overlap: float) -> list[int]:
    """Places of a sliding window along one axis, so that every position is covered.

    The step is the largest that keeps at least `overlap` between neighbours; the last window
    ends flush with the axis, so it may overlap more.

    Args:
        length: Positions along the axis, at least 1.
        window: Size of the window, at least 1. Where it exceeds `length` there is one window,
            at 0, and it reaches past the end.
        overlap: Fraction of the window shared by neighbours, in [0, 1).

    >>> window_starts(40, 18, 0.5)
    [0, 9, 18, 22]
    >>> window_starts(10, 18, 0.5)
    [0]
    """
    if length < 1 or window < 1:
        raise ValueError(f"length {length} and window {window} must be at least 1")
    if not 0 <= overlap < 1:
        raise ValueError(f"overlap {overlap} must be in [0, 1)")
    if window >= length:
        return [0]
    # The tiny addend undoes binary rounding: 10 * (1 - 0.9) is 0.9999999999999998.
    step = max(1, math.floor(window * (1 - overlap) + 1e-9))
    return [*range(0, length - window, step), length - window]


def block_boxes(shape: Sequence[int], block: Sequence[int]) -> list[Box]:
    """Split a volume into blocks on a grid through the origin, z slowest.

    Every voxel lies in exactly one block; the last ones along an axis may be smaller.

    >>> [(box.start, box.stop) for box in block_boxes((2, 3, 5), (2, 3, 3))]
    [((0, 0, 0), (2, 3, 3)), ((0, 0, 3), (2, 3, 5))]
    """
    if min(block) < 1:
        raise ValueError(f"block {tuple(block)} must be at least 1 along every axis")
    axes = [range(0, length, step) for length, step in zip(shape, block, strict=True)]
    return [Box(_triple(a), _add(a, block)).clip(shape) for a in itertools.product(*axes)]


def block_shape(shape: Sequence[int], chunk: Sequence[int], voxels: int) -> Triple:
    """A block of whole chunks, as near a cube of chunks as the bound on its voxels allows.

    Args:
        shape: (Z, Y, X) of the volume.
        chunk: (z, y, x) that is read at once, and never cut.
        voxels: The bound.

    >>> block_shape((100, 1000, 1000), (10, 100, 100), 10**6)
    (20, 200, 200)
    >>> block_shape((100, 1000, 1000), (1, 1000, 1000), 10**6)
    (1, 1000, 1000)
    """
    block = [max(1, min(n, c)) for n, c in zip(shape, chunk, strict=True)]
    step = list(block)
    while True:
        # The axis along which the block has the fewest chunks grows, while there is room.
        axes = [
            axis
            for axis in range(3)
            if block[axis] < shape[axis]
            and math.prod(block) // block[axis] * (block[axis] + step[axis]) <= voxels
        ]
        if not axes:
            z, y, x = (min(n, b) for n, b in zip(shape, block, strict=True))
            return z, y, x
        axis = min(axes, key=lambda a: (block[a] // step[a], -a))
        block[axis] += step[axis]


def _add(start: Sequence[int], size: Sequence[int]) -> Triple:
    return _triple(a + n for a, n in zip(start, size, strict=True))


def _triple(values: Iterable[int]) -> Triple:
    z, y, x = (int(v) for v in values)
    return z, y, x


def _nm(values: Iterable[float]) -> Nm:
    numbers = tuple(float(v) for v in values)
    if len(numbers) != 3:
        raise ValueError(f"{numbers} must be three numbers (z, y, x)")
    return numbers


NOWHERE = VoxelGrid()
"""Of voxels of which nobody says how large they are, nor where."""
