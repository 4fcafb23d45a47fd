"""The voxels that may belong to a synapse, as a list, and what is thought of each so far.

Synapses fill about one voxel in a hundred. The decoder beyond the baseline therefore reads the
probabilities once, keeps the voxels that matter, and decides everything else on that list.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from connectomics.decoding import kernels
from connectomics.decoding.bits import BitMask
from connectomics.decoding.runs import Components
from connectomics.geometry import Nm, VoxelGrid

NONE, PRE, POST = 0, 1, 2


@dataclass(frozen=True)
class Candidates:
    """Voxels in scan order, with the synapse and the side each is given to.

    Attributes:
        shape: (Z, Y, X) of the volume.
        grid: Where its voxels lie; their size is known.
        index: (V,) int64, flat index of each voxel, ascending.
        pre: (V,) float32, probability of the pre side.
        post: (V,) float32, probability of the post side.
        union: (V,) float32, probability of either.
        inside: (V,) bool, False for voxels that only bridge gaps and never get a side.
        synapse: (V,) int32, synapse from 0, or -1.
        side: (V,) int8, `NONE`, `PRE` or `POST`.
    """

    shape: tuple[int, int, int]
    grid: VoxelGrid
    index: np.ndarray
    pre: np.ndarray
    post: np.ndarray
    union: np.ndarray
    inside: np.ndarray
    synapse: np.ndarray
    side: np.ndarray

    @cached_property
    def count(self) -> int:
        """One more than the greatest synapse."""
        return int(self.synapse.max(initial=-1)) + 1

    @cached_property
    def links(self) -> np.ndarray:
        """(3, 2, V) int32, the neighbours of each voxel before and after it along z, y, x."""
        _, height, width = self.shape
        steps = (height * width, width, 1)
        return np.stack(
            [_link_axis(self.index, s, s * n) for s, n in zip(steps, self.shape, strict=True)]
        )

    @property
    def resolution(self) -> Nm:
        """Nm per voxel (z, y, x)."""
        assert self.grid.resolution is not None
        return self.grid.resolution

    @property
    def voxel_nm3(self) -> float:
        """Volume of one voxel."""
        return float(np.prod(self.resolution))

    @property
    def labelled(self) -> np.ndarray:
        """(V,) bool, the voxels with a synapse and a side."""
        return (self.side > NONE) & (self.synapse >= 0)

    def coordinates(self, places: np.ndarray | slice = slice(None)) -> np.ndarray:
        """(N, 3) voxels (z, y, x) of some places of the list, or of all."""
        return np.stack(np.unravel_index(self.index[places], self.shape), axis=1)

    def points_nm(self, places: np.ndarray | slice = slice(None)) -> np.ndarray:
        """(N, 3) float32 positions in nm, voxel (0, 0, 0) being at 0."""
        scale = np.asarray(self.resolution, np.float32)
        return self.coordinates(places).astype(np.float32) * scale

    def side_sizes(self) -> np.ndarray:
        """(2, count) voxels on the pre and on the post side of each synapse."""
        chosen = self.labelled
        key = np.where(self.side[chosen] == POST, self.count, 0) + self.synapse[chosen]
        return np.bincount(key, minlength=2 * self.count).reshape(2, self.count)

    def first_voxels(self) -> np.ndarray:
        """(count,) int64, the flat index of the first listed voxel of each synapse."""
        first = np.empty(self.count + 1, np.int64)  # the last is of those without a synapse
        first[self.synapse[::-1]] = self.index[::-1]  # of several, the last written stays
        return first[:-1]

    def only(self, taken: np.ndarray) -> Self:
        """The list of some of the voxels.

        Args:
            taken: (V,) bool.
        """
        columns = ("index", "pre", "post", "union", "inside", "synapse", "side")
        return replace(self, **{name: getattr(self, name)[taken] for name in columns})

    def give(self, *, synapse: np.ndarray | None = None, side: np.ndarray | None = None) -> Self:
        """The same voxels, given to other synapses or sides."""
        other = replace(
            self,
            synapse=self.synapse if synapse is None else synapse.astype(np.int32, copy=False),
            side=self.side if side is None else side.astype(np.int8, copy=False),
        )
        if "links" in self.__dict__:  # they depend on the voxels alone
            other.__dict__["links"] = self.links
        return other

    def weigh(self, pre: np.ndarray, post: np.ndarray, union: np.ndarray) -> Self:
        """The same voxels with other probabilities, (V,) float32 each."""
        return replace(self, pre=pre, post=post, union=union)

    def renumber(self, number: np.ndarray) -> Self:
        """Give each synapse s the number number[s]; -1 drops it.

        Args:
            number: (count,) int.
        """
        return self.give(synapse=np.append(number, -1)[self.synapse])


def pieces_of(candidates: Candidates, key: np.ndarray) -> tuple[np.ndarray, int]:
    """Find the 6-connected pieces of voxels of equal key.

    Args:
        candidates: V voxels.
        key: (V,) int32; voxels with a negative key are in no piece.

    Returns:
        (V,) int32 piece of each voxel, from 0 in scan order, or -1; how many there are.
    """
    parent = np.arange(key.size, dtype=np.int32)
    kernels.voxels.join_equal(key, candidates.links, parent)
    is_first = (parent == np.arange(key.size)) & (key >= 0)
    number = np.cumsum(is_first, dtype=np.int32) - 1
    return np.where(key >= 0, number[parent], -1).astype(np.int32), int(is_first.sum())


def list_voxels(
    components: Components, shape: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The flat index of every voxel of components, ascending, and the component it is of."""
    length = components.runs.stop - components.runs.start
    stop = np.cumsum(length, dtype=np.int64)
    total = int(stop[-1]) if len(stop) else 0
    index, owner = np.empty(total, np.int64), np.empty(total, np.int32)
    kernels.voxels.expand_runs(
        components.runs, components.of_run, shape[2], stop - length, index, owner
    )
    return index, owner


def is_set(mask: BitMask, index: np.ndarray) -> np.ndarray:
    """(V,) bool, whether each voxel is in a mask."""
    found = np.empty(index.size, bool)
    kernels.voxels.test_bits(mask.rows, mask.shape[2], index, found)
    return found


def link_sections(candidates: Candidates, sections: int) -> np.ndarray:
    """(V,) int32, the voxel that lies `sections` further along z, or -1."""
    return link_offset(candidates.index, candidates.shape, (sections, 0, 0))


def link_offset(
    index: np.ndarray, shape: tuple[int, int, int], offset: tuple[int, int, int]
) -> np.ndarray:
    """The place of the voxel at an offset from each, or -1 where it is not listed.

    Args:
        index: (V,) flat indices, ascending.
        shape: (Z, Y, X) of the volume.
        offset: (z, y, x) in voxels, later in scan order.

    Returns:
        (V,) int32.
    """
    _, height, width = shape
    z, y, x = offset
    after = _link_after(index, (z * height + y) * width + x, math.prod(shape))
    # A row that ends must not go on in the next one.
    row, column = index // width % height + y, index % width + x
    after[(row < 0) | (row >= height) | (column < 0) | (column >= width)] = -1
    return after


def _link_axis(index: np.ndarray, step: int, block: int) -> np.ndarray:
    after = _link_after(index, step, block)
    before = np.full(index.size, -1, np.int32)
    linked = np.flatnonzero(after >= 0)
    before[after[linked]] = linked
    return np.stack([before, after])


def _link_after(index: np.ndarray, step: int, block: int) -> np.ndarray:
    after = np.empty(index.size, np.int32)
    kernels.voxels.link(index, step, block, after)
    return after
