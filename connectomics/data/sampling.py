"""Where the training patches lie: positions at random, those without synapses mostly refused.

Rejection sampling: a patch whose label holds fewer than `size_thres` foreground voxels is
rejected with probability `p` and drawn again. How many it holds comes from a table made once
per volume, so no voxel is read for a rejected patch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from connectomics.data.foreground import ForegroundTable, Size3
from connectomics.errors import DataError


@dataclass(frozen=True)
class PatchSampler:
    """Draws patches, uniformly over all positions of all volumes, then by foreground.

    Attributes:
        shapes: `(Z, Y, X)` of each volume; a volume counts by how many positions it offers.
        patch_size: `(z, y, x)`; fits in every volume.
        tables: One per volume, or None to accept every patch.
        size_thres: A patch with fewer foreground voxels may be rejected.
        p: The chance that it is, 0 to 1.

    >>> sampler = PatchSampler([(4, 8, 8)], (2, 4, 4))
    >>> sampler.draw(np.random.default_rng(0))
    (0, (2, 2, 3))
    """

    shapes: Sequence[Size3]
    patch_size: Size3
    tables: Sequence[ForegroundTable] | None = None
    size_thres: int = 0
    p: float = 0.0

    def draw(self, rng: np.random.Generator) -> tuple[int, Size3]:
        """Draw one patch.

        Returns:
            The number of its volume, and its first voxel `(z, y, x)` there.
        """
        positions = self._positions()
        bounds = np.cumsum([np.prod(free, dtype=np.int64) for free in positions])
        while True:
            position = int(rng.integers(bounds[-1]))
            volume = int(np.searchsorted(bounds, position, side="right"))
            position -= int(bounds[volume - 1]) if volume else 0
            z, y, x = np.unravel_index(position, positions[volume])
            start = int(z), int(y), int(x)
            if self._accepts(volume, start, rng):
                return volume, start

    def draw_on_foreground(self, rng: np.random.Generator) -> tuple[int, Size3] | None:
        """Draw a patch that holds a foreground voxel, chosen evenly among all of them.

        Returns:
            Volume and first voxel as in `draw`, or None where nothing is labelled.
        """
        bounds = np.cumsum([table.total for table in self.tables or ()])
        if not len(bounds) or not bounds[-1]:
            return None
        rank = int(rng.integers(bounds[-1]))
        volume = int(np.searchsorted(bounds, rank, side="right"))
        rank -= int(bounds[volume - 1]) if volume else 0
        voxel = (self.tables or ())[volume].foreground_voxel(rank)
        z, y, x = (
            int(np.clip(v - rng.integers(size), 0, length - size))
            for v, size, length in zip(voxel, self.patch_size, self.shapes[volume], strict=True)
        )
        return volume, (z, y, x)

    def require_acceptable(self, where: str) -> None:
        """Check that drawing can end.

        Raises:
            DataError: Rejection is on and no voxel is labelled, or `p` is 1 and no patch
                anywhere reaches `size_thres`.
        """
        if self.tables is None or self.size_thres <= 0 or self.p <= 0:
            return
        if not any(table.total for table in self.tables):
            raise DataError(
                where,
                "the labels hold no foreground, so rejection sampling finds nothing to look at.",
                "Check the label files, or set data.dataloader.reject_sampling=null.",
            )
        size, thres = self.patch_size, self.size_thres
        if self.p >= 1 and not any(table.reaches(size, thres) for table in self.tables):
            raise DataError(
                where,
                f"no patch of {size} holds {thres} labelled voxels, and p=1 refuses all others.",
                "Lower data.dataloader.reject_sampling.size_thres or p, or enlarge patch_size.",
            )

    def _accepts(self, volume: int, start: Size3, rng: np.random.Generator) -> bool:
        if self.tables is None or self.size_thres <= 0:
            return True
        if self.tables[volume].count(start, self.patch_size) >= self.size_thres:
            return True
        return bool(rng.random() >= self.p)

    def _positions(self) -> list[Size3]:
        size = self.patch_size
        return [
            (shape[0] - size[0] + 1, shape[1] - size[1] + 1, shape[2] - size[2] + 1)
            for shape in self.shapes
        ]
