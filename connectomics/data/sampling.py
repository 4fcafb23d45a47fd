"""Where the training patches lie: on synapses, and at random with few that hold none.

Some patches are centred on a synapse, a voxel of it drawn at random. The others are drawn by
rejection: a patch whose label holds fewer than `size_thres` foreground voxels is rejected with
probability `p` and drawn again. How many it holds comes from a table made once per volume, so no
voxel is read for a rejected patch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from connectomics.data.foreground import ForegroundTable, Size3
from connectomics.data.synapse_table import SynapseTable
from connectomics.errors import DataError

SLIVER = 1 / 3
"""A threshold below this part of a small synapse lets patches pass that hold slivers of one."""

NOWHERE = "the labels hold no foreground in what is learned from"
SOMEWHERE = (
    "Check the label files; where they do hold some, name volumes in data.val, so that nothing is "
    "held back from these"
)


@dataclass(frozen=True)
class PatchSampler:
    """Draws patches, on synapses or uniformly over all positions of all volumes.

    Attributes:
        shapes: `(Z, Y, X)` of each volume; a volume counts by how many positions it offers.
        patch_size: `(z, y, x)`; fits in every volume.
        tables: One per volume, or None to accept every patch.
        size_thres: A patch with fewer foreground voxels may be rejected.
        p: The chance that it is, 0 to 1.
        synapses: Of all volumes; needed for a `foreground_fraction`.
        foreground_fraction: The share of patches, 0 to 1, that are centred on a synapse.

    >>> sampler = PatchSampler([(4, 8, 8)], (2, 4, 4))
    >>> sampler.draw(np.random.default_rng(0))
    (0, (2, 2, 3))
    """

    shapes: Sequence[Size3]
    patch_size: Size3
    tables: Sequence[ForegroundTable] | None = None
    size_thres: int = 0
    p: float = 0.0
    synapses: SynapseTable | None = None
    foreground_fraction: float = 0.0

    def draw(self, rng: np.random.Generator) -> tuple[int, Size3]:
        """Draw one patch.

        Returns:
            The number of its volume, and its first voxel `(z, y, x)` there.
        """
        if self.synapses and self.foreground_fraction and rng.random() < self.foreground_fraction:
            volume, voxel = self.synapses.draw(rng)
            return volume, self._around(volume, voxel, [size // 2 for size in self.patch_size])
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

    def acceptance(self, rng: np.random.Generator, draws: int = 1000) -> float:
        """Estimate which share of patches drawn by rejection is accepted, 0 to 1."""
        if self.tables is None or self.size_thres <= 0:
            return 1.0
        anywhere = replace(self, tables=None, foreground_fraction=0.0)
        places = [anywhere.draw(rng) for _ in range(draws)]
        held = [self.tables[volume].count(start, self.patch_size) for volume, start in places]
        enough = float(np.mean(np.array(held) >= self.size_thres))
        return enough + (1 - enough) * (1 - self.p)

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
        inside = [int(rng.integers(size)) for size in self.patch_size]
        return volume, self._around(volume, voxel, inside)

    def require_acceptable(self, where: str) -> None:
        """Check that drawing can begin, and end.

        Raises:
            DataError: Rejection is on, or a share of patches on synapses, and no voxel is
                labelled; or `p` is 1 and no patch anywhere reaches `size_thres`.
        """
        if self.foreground_fraction > 0 and not (self.synapses and self.synapses.small):
            raise DataError(
                where,
                f"{NOWHERE}, so no patch can be centred on a synapse.",
                f"{SOMEWHERE}, or set data.dataloader.foreground_fraction=0.",
            )
        if self.tables is None or self.size_thres <= 0 or self.p <= 0:
            return
        if not any(table.total for table in self.tables):
            raise DataError(
                where,
                f"{NOWHERE}, so rejection sampling finds nothing to look at.",
                f"{SOMEWHERE}, or set data.dataloader.reject_sampling=null.",
            )
        size, thres = self.patch_size, self.size_thres
        if self.p >= 1 and not any(table.reaches(size, thres) for table in self.tables):
            raise DataError(
                where,
                f"no patch of {size} holds {thres} labelled voxels, and p=1 refuses all others.",
                "Lower data.dataloader.reject_sampling.size_thres or p, or enlarge patch_size.",
            )

    def _around(self, volume: int, voxel: Size3, inside: Sequence[int]) -> Size3:
        """The first voxel of a patch that has `voxel` at the place `inside`, or near a border."""
        z, y, x = (
            min(max(v - i, 0), length - size)
            for v, i, size, length in zip(
                voxel, inside, self.patch_size, self.shapes[volume], strict=True
            )
        )
        return z, y, x

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


def explained(sampler: PatchSampler, *, automatic: bool) -> list[str]:
    """Say how patches are drawn, and where the threshold comes from if it is `automatic`."""
    notes, synapses, size = [], sampler.synapses, list(sampler.patch_size)
    if not synapses or not synapses.small:
        return notes
    count = len(synapses.sizes)
    if sampler.foreground_fraction:
        one = "the one labelled piece" if count == 1 else f"one of {count:,} labelled pieces"
        notes.append(f"{sampler.foreground_fraction:.0%} of the patches are centred on {one}")
    if sampler.tables is not None and automatic:
        low, middle, high = (int(n) for n in np.percentile(synapses.sizes, [5, 50, 95]))
        those = f"the {count:,} labelled pieces have" if count > 1 else "the labelled piece has"
        notes.append(
            f"size_thres auto is {sampler.size_thres:,} labelled voxels, a small whole synapse: "
            f"{those} {low:,} / {middle:,} / {high:,} (percentiles 5 / 50 / 95) as a patch of "
            f"{size} sees them"
        )
    return notes


def sliver_warning(sampler: PatchSampler) -> list[str]:
    """Warn of a threshold that is a fraction of a synapse, unless all patches are on one."""
    synapses, drawn = sampler.synapses, 1 - sampler.foreground_fraction
    if not synapses or sampler.tables is None or not drawn:
        return []
    if sampler.size_thres >= SLIVER * synapses.small:
        return []
    few = drawn <= 0.5
    those = "Of the patches that are drawn anywhere, some" if few else "Patches"
    more = "" if few else ", or raise data.dataloader.foreground_fraction"
    return [
        f"data.dataloader.reject_sampling.size_thres: {sampler.size_thres:,} voxels are a fraction "
        f"of a synapse here, where a small whole one has {synapses.small:,}. {those} pass that "
        "hold a sliver of one at their edge, and sides cannot be learned from slivers. Set it to "
        f"auto{more}."
    ]
