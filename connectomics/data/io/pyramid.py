"""Coarser levels of a volume, from which a viewer draws what it shows from afar.

Each level halves, along the axes whose voxels are finest, the level before. What its voxels are
follows by one of the rules in `downsampling.py`: `mean` for probabilities, `mode` for labels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from connectomics.geometry import Nm, Triple, VoxelGrid

RULES = ("mean", "mode")

WIDEST = 512
"""Voxels across, from which on no coarser level is made."""

SMALLEST = 32**3
"""Voxels of a block, below which no coarser level is made: each block of each level is a file."""

ALIKE = 1.5
"""Voxels of less than so many times the finest edge are halved along that axis."""


@dataclass(frozen=True)
class Pyramid:
    """The coarser levels of a volume.

    Attributes:
        rule: `mean` or `mode`; "" where there are no levels.
        factors: Of each level, finest first: how many voxels (z, y, x) of the finest level lie in
            one of its voxels, a power of two along each axis.
    """

    rule: str = ""
    factors: tuple[Triple, ...] = ()

    @classmethod
    def of_blocks(cls, rule: str, shape: Triple, block: Triple, nm: Nm | None) -> Pyramid:
        """The levels of which a block holds a whole share, so that it can be written with it.

        There are levels until the last is at most `WIDEST` across, a block has less than
        `SMALLEST` voxels in the next, or its size is no multiple of the next one's factors.

        Args:
            rule: See the module.
            shape: (Z, Y, X) of the volume.
            block: (z, y, x) of a block, no larger than the volume.
            nm: Per voxel (z, y, x). Where nobody knows, all axes are halved.

        >>> Pyramid.of_blocks("mode", (900, 900, 900), (64, 256, 256), (30.0, 8.0, 8.0)).factors
        ((1, 2, 2), (1, 4, 4), (2, 8, 8))
        """
        levels: list[Triple] = []
        last: Triple = (1, 1, 1)
        while max(smaller(shape, last)) > WIDEST:
            steps = halving(smaller(shape, last), scaled(nm or (1.0, 1.0, 1.0), last))
            last = _times(last, steps)
            axes = zip(block, last, shape, strict=True)
            fits = all(b % f == 0 or b == n for b, f, n in axes)
            if not fits or math.prod(smaller(block, last)) < SMALLEST:
                break
            levels.append(last)
        return cls(rule if levels else "", tuple(levels))

    def grids(self, grid: VoxelGrid) -> list[VoxelGrid]:
        """Where the voxels of each level lie, those of the finest first.

        A position is that of a voxel's centre. So a coarser level begins further in than the
        finest, by half of what its voxels are larger.

        >>> Pyramid("mode", ((1, 2, 2),)).grids(VoxelGrid((30, 8, 8), (60, 0, 0)))[1]
        VoxelGrid(resolution=(30.0, 16.0, 16.0), offset_nm=(60.0, 4.0, 4.0))
        """
        assert grid.resolution is not None
        return [
            VoxelGrid.of(
                scaled(grid.resolution, factors),
                grid.to_nm([(f - 1) / 2 for f in factors]).tolist(),
            )
            for factors in ((1, 1, 1), *self.factors)
        ]


def share_of_levels(shape: Triple, block: Triple | None, nm: Nm | None) -> float:
    """Voxels of all levels of a volume in blocks, as a part of those of the finest.

    >>> share_of_levels((64, 1024, 1024), (64, 512, 512), (30.0, 8.0, 8.0))
    1.25
    >>> share_of_levels((64, 1024, 1024), None, (30.0, 8.0, 8.0))
    1.0
    """
    if block is None:
        return 1.0
    z, y, x = (min(b, n) for b, n in zip(block, shape, strict=True))
    factors = Pyramid.of_blocks(RULES[0], shape, (z, y, x), nm).factors
    voxels = sum(math.prod(smaller(shape, one)) for one in ((1, 1, 1), *factors))
    return voxels / math.prod(shape)


def halving(shape: Triple, nm: Nm) -> Triple:
    """How many voxels (z, y, x) of a level become one of the next: 2 along its finest axes.

    >>> halving((20, 900, 900), (30.0, 8.0, 8.0)), halving((20, 225, 225), (30.0, 32.0, 32.0))
    ((1, 2, 2), (2, 2, 2))
    >>> halving((1, 900, 900), (8.0, 8.0, 8.0))
    (1, 2, 2)
    """
    finest = min((size for n, size in zip(shape, nm, strict=True) if n > 1), default=math.inf)
    z, y, x = (
        2 if n > 1 and size < ALIKE * finest else 1 for n, size in zip(shape, nm, strict=True)
    )
    return z, y, x


def smaller(shape: Sequence[int], factors: Triple) -> Triple:
    """(Z, Y, X) of a level."""
    z, y, x = (-(-n // f) for n, f in zip(shape[-3:], factors, strict=True))
    return z, y, x


def scaled(nm: Nm, factors: Triple) -> Nm:
    """Nm per voxel (z, y, x) of a level."""
    z, y, x = (size * f for size, f in zip(nm, factors, strict=True))
    return z, y, x


def _times(first: Triple, second: Triple) -> Triple:
    z, y, x = (a * b for a, b in zip(first, second, strict=True))
    return z, y, x


ONE_LEVEL = Pyramid()
"""Of a volume that has no coarser levels."""
