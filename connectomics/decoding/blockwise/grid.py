"""The blocks of a volume, by number."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from connectomics.decoding.blockwise.contract import Task
from connectomics.geometry import Box, Triple


@dataclass(frozen=True)
class Blocks:
    """Blocks on a grid through the origin; the last ones along an axis may be smaller.

    They are numbered in scan order and never listed.

    Attributes:
        shape: (Z, Y, X) of the volume.
        size: (z, y, x) of a block.

    >>> blocks = Blocks((4, 6, 5), (4, 4, 4))
    >>> len(blocks), blocks.name(3), blocks.box(3)
    (4, '0000_0001_0001', Box(start=(0, 4, 4), stop=(4, 6, 5)))
    """

    shape: Triple
    size: Triple

    @property
    def counts(self) -> Triple:
        """Blocks along each axis."""
        z, y, x = (-(-n // step) for n, step in zip(self.shape, self.size, strict=True))
        return z, y, x

    def __len__(self) -> int:
        return math.prod(self.counts)

    def box(self, number: int) -> Box:
        """The voxels of a block."""
        z, y, x = (i * n for i, n in zip(self._place(number), self.size, strict=True))
        dz, dy, dx = self.size
        return Box((z, y, x), (z + dz, y + dy, x + dx)).clip(self.shape)

    def name(self, number: int) -> str:
        """The place of a block on the grid, as the name of its tasks."""
        return "_".join(f"{i:04d}" for i in self._place(number))

    def number(self, name: str) -> int:
        """The block that is called so."""
        z, y, x = (int(i) for i in name.split("_"))
        return (z * self.counts[1] + y) * self.counts[2] + x

    def task(self, number: int, work: Mapping[str, np.ndarray] | None = None) -> Task:
        """A task about a block."""
        return Task(self.name(number), self.box(number), work or {})

    def after(self, number: int, axis: int) -> int | None:
        """The next block along an axis, None at the end of the volume."""
        if self._place(number)[axis] + 1 == self.counts[axis]:
            return None
        return number + math.prod(self.counts[axis + 1 :])

    def to_volume(self, number: int, index: np.ndarray) -> np.ndarray:
        """Flat indices in the volume, of flat indices in a block; both in scan order."""
        box = self.box(number)
        places = np.unravel_index(index.astype(np.int64), box.shape)
        z, y, x = (p + start for p, start in zip(places, box.start, strict=True))
        return (z * self.shape[1] + y) * self.shape[2] + x

    def holding(self, index: np.ndarray) -> np.ndarray:
        """The number of the block that holds each of some flat indices in the volume."""
        places = np.unravel_index(index, self.shape)
        z, y, x = (p // step for p, step in zip(places, self.size, strict=True))
        return (z * self.counts[1] + y) * self.counts[2] + x

    def split(self, index: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """The blocks that hold some flat indices in the volume, and the places of those in each."""
        block = self.holding(index)
        order = np.argsort(block, kind="stable")
        bounds = np.append(np.flatnonzero(np.diff(block[order], prepend=-1)), len(order))
        for begin, end in itertools.pairwise(bounds):
            yield int(block[order[begin]]), order[begin:end]

    def to_block(self, number: int, index: np.ndarray) -> np.ndarray:
        """Flat indices in a block, of flat indices in the volume that lie in it."""
        box = self.box(number)
        places = np.unravel_index(index, self.shape)
        z, y, x = (p - start for p, start in zip(places, box.start, strict=True))
        return (z * box.shape[1] + y) * box.shape[2] + x

    def _place(self, number: int) -> Triple:
        rest, x = divmod(number, self.counts[2])
        z, y = divmod(rest, self.counts[1])
        return z, y, x
