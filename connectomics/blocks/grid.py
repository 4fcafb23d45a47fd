"""A volume cut into blocks on a grid through its origin, each with a name and a box."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from connectomics.geometry import Box, Triple


@dataclass(frozen=True)
class Block:
    """One block of a volume.

    Attributes:
        name: Its place on the grid, fit for a file name: `0000_0003_0002`.
        box: Its voxels. The last blocks along an axis may be smaller than the others.
    """

    name: str
    box: Box


@dataclass(frozen=True)
class BlockGrid:
    """All blocks of a volume. They are listed one by one, so that there may be very many.

    Attributes:
        shape: (Z, Y, X) of the volume.
        block: (z, y, x) of a block. Along an axis on which the volume is smaller, it is cut to it.

    >>> grid = BlockGrid((2, 3, 5), (2, 8, 3))
    >>> len(grid), grid.block
    (2, (2, 3, 3))
    >>> [(one.name, one.box.start, one.box.stop) for one in grid]
    [('0000_0000_0000', (0, 0, 0), (2, 3, 3)), ('0000_0000_0001', (0, 0, 3), (2, 3, 5))]
    """

    shape: Triple
    block: Triple

    def __post_init__(self) -> None:
        if min(self.shape) < 1 or min(self.block) < 1:
            raise ValueError(f"shape {self.shape} and block {self.block} must be at least 1")
        z, y, x = (min(b, n) for b, n in zip(self.block, self.shape, strict=True))
        object.__setattr__(self, "block", (z, y, x))

    @property
    def counts(self) -> Triple:
        """Blocks along each axis."""
        z, y, x = (-(-n // b) for n, b in zip(self.shape, self.block, strict=True))
        return z, y, x

    def __len__(self) -> int:
        return math.prod(self.counts)

    def __iter__(self) -> Iterator[Block]:
        for place in itertools.product(*map(range, self.counts)):
            yield self.at(place)

    def at(self, place: Sequence[int]) -> Block:
        """The block at a place (z, y, x) of the grid.

        >>> BlockGrid((4, 4, 4), (2, 2, 3)).at((1, 0, 1)).box
        Box(start=(2, 0, 3), stop=(4, 2, 4))
        """
        z, y, x = place
        if not all(0 <= i < n for i, n in zip(place, self.counts, strict=True)):
            raise ValueError(f"there is no block {tuple(place)} in a grid of {self.counts}")
        starts = tuple(i * b for i, b in zip(place, self.block, strict=True))
        stops = tuple(min(a + b, n) for a, b, n in zip(starts, self.block, self.shape, strict=True))
        return Block(f"{z:04d}_{y:04d}_{x:04d}", Box(starts, stops))  # pyright: ignore

    def is_block(self, box: Box) -> bool:
        """Whether a box is exactly one of the blocks."""
        place = [a // b for a, b in zip(box.start, self.block, strict=True)]
        inside = all(0 <= i < n for i, n in zip(place, self.counts, strict=True))
        return inside and self.at(place).box == box
