"""How many labelled voxels a box holds, without reading a voxel."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

Size3 = tuple[int, int, int]


class ForegroundTable(ABC):
    """Answers how many foreground voxels a box of a volume holds.

    Attributes:
        shape: The volume's `(Z, Y, X)`.
        total: Foreground voxels in the whole volume.
    """

    shape: Size3
    total: int

    @abstractmethod
    def count(self, start: Size3, size: Size3) -> int:
        """Count the foreground in a box.

        Args:
            start: First voxel `(z, y, x)`.
            size: Extent `(z, y, x)`; the box lies inside the volume.
        """

    @abstractmethod
    def foreground_voxel(self, rank: int) -> Size3:
        """Find the `rank`-th foreground voxel, `0 <= rank < total`, in scan order."""

    @abstractmethod
    def section(self, z: int) -> np.ndarray:
        """Give the foreground of section `z` as `(Y, X)` bool."""

    def reaches(self, size: Size3, threshold: int) -> bool:
        """Say whether any box of `size` holds at least `threshold` foreground voxels.

        Goes through the volume once, a section at a time, and stops at the first such box.
        """
        if threshold <= 0:
            return True
        if self.total < threshold:
            return False
        depth, height, width = size
        columns = np.zeros(self.shape[1:], dtype=np.int64)
        for z in range(self.shape[0]):
            columns += self.section(z)
            if z >= depth:
                columns -= self.section(z - depth)
            if z >= depth - 1:
                table = np.zeros((columns.shape[0] + 1, columns.shape[1] + 1), dtype=np.int64)
                table[1:, 1:] = columns.cumsum(axis=0).cumsum(axis=1)
                rows = table[height:] - table[:-height]
                if (rows[:, width:] - rows[:, :-width]).max() >= threshold:
                    return True
        return False


class DenseForegroundTable(ForegroundTable):
    """A summed-volume table: eight look-ups per count, at a price in memory.

    `table[z, y, x]` is the foreground of the box from the origin up to, but without,
    `(z, y, x)` (Crow 1984, summed-area tables, in three dimensions).

    Args:
        foreground: `(Z, Y, X)` bool.

    >>> table = DenseForegroundTable(np.ones((2, 3, 4), dtype=bool))
    >>> table.count((0, 1, 1), (2, 2, 2)), table.total
    (8, 24)
    """

    BYTES_PER_VOXEL = 4
    """Twice as many from 2³¹ voxels on."""

    def __init__(self, foreground: np.ndarray) -> None:
        depth, height, width = foreground.shape
        self.shape = (depth, height, width)
        dtype = np.int32 if foreground.size <= np.iinfo(np.int32).max else np.int64
        self._table = np.zeros((depth + 1, height + 1, width + 1), dtype=dtype)
        inner = self._table[1:, 1:, 1:]
        for z in range(depth):
            np.cumsum(foreground[z], axis=1, dtype=dtype, out=inner[z])
            np.cumsum(inner[z], axis=0, out=inner[z])
            if z:
                inner[z] += inner[z - 1]
        self.total = int(self._table[-1, -1, -1])

    def count(self, start: Size3, size: Size3) -> int:
        """Count by the eight corners of the box."""
        z, y, x = start
        corners = self._table[
            z : z + size[0] + 1 : size[0],
            y : y + size[1] + 1 : size[1],
            x : x + size[2] + 1 : size[2],
        ]
        return int(np.diff(np.diff(np.diff(corners, axis=0), axis=1), axis=2)[0, 0, 0])

    def foreground_voxel(self, rank: int) -> Size3:
        """Find it section first, then row, then voxel."""
        before = self._table
        z = int(np.searchsorted(before[1:, -1, -1], rank, side="right"))
        rank -= int(before[z, -1, -1])
        rows = before[z + 1, 1:, -1] - before[z, 1:, -1]
        y = int(np.searchsorted(rows, rank, side="right"))
        rank -= int(rows[y - 1]) if y else 0
        row = np.flatnonzero(self.section(z)[y])
        return z, y, int(row[rank])

    def section(self, z: int) -> np.ndarray:
        """Undo the sums of one section."""
        slab = self._table[z + 1] - self._table[z]
        return np.diff(np.diff(slab, axis=0), axis=1) > 0


class RunForegroundTable(ForegroundTable):
    """The same counts from runs of foreground, for volumes that are not held in memory.

    The voxels are numbered in scan order; the foreground is a sorted list of runs, with the
    number of foreground voxels before each. Two binary searches give the foreground between
    two voxels, and a box is the sum over its rows. Takes 16 bytes per run.

    Args:
        starts: (n,) the number of the first voxel of each run, in any order.
        lengths: (n,) their voxels; no two runs share one.
        shape: The volume's `(Z, Y, X)`.

    >>> table = RunForegroundTable(np.array([5, 0]), np.array([3, 2]), (2, 3, 4))
    >>> table.count((0, 1, 0), (1, 1, 3)), table.total
    (2, 5)
    """

    def __init__(self, starts: NDArray[np.int64], lengths: NDArray[np.int64], shape: Size3) -> None:
        self.shape = shape
        order = np.argsort(starts, kind="stable")
        # So that every voxel has a run before it.
        start = np.concatenate(([0], starts[order]))
        stop = np.concatenate(([0], starts[order] + lengths[order]))
        # Where a row or a label ends, the next may begin.
        first = np.flatnonzero(np.concatenate(([True], start[1:] != stop[:-1])))
        self._starts = start[first]
        lengths = np.add.reduceat(stop - start, first)
        self._before = np.concatenate(([0], np.cumsum(lengths)))
        self.total = int(self._before[-1])

    def count(self, start: Size3, size: Size3) -> int:
        """Count row by row."""
        _, height, width = self.shape
        z = np.arange(start[0], start[0] + size[0])[:, None]
        y = np.arange(start[1], start[1] + size[1])
        first = (z * height + y) * width + start[2]
        return int((self._up_to(first + size[2]) - self._up_to(first)).sum())

    def foreground_voxel(self, rank: int) -> Size3:
        """Find it in its run."""
        run = int(np.searchsorted(self._before, rank, side="right")) - 1
        voxel = int(self._starts[run]) + rank - int(self._before[run])
        z, y, x = np.unravel_index(voxel, self.shape)
        return int(z), int(y), int(x)

    def section(self, z: int) -> np.ndarray:
        """Draw the runs of one section."""
        area = self.shape[1] * self.shape[2]
        counts = self._up_to(np.arange(z * area, (z + 1) * area + 1))
        return (np.diff(counts) > 0).reshape(self.shape[1:])

    def _up_to(self, voxels: np.ndarray) -> np.ndarray:
        """Count the foreground before each of these voxel numbers."""
        run = np.searchsorted(self._starts, voxels, side="right") - 1
        inside = voxels - self._starts[run]
        return np.minimum(self._before[run] + inside, self._before[run + 1])
