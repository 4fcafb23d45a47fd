"""Connected components of a mask: at once, or block by block with the same numbers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from typing import Any, Literal, NamedTuple

import numpy as np

from connectomics.errors import DataError
from connectomics.evaluation.extents import Extents, list_values
from connectomics.evaluation.volumes import Labels, blocks_of, read
from connectomics.geometry import Box
from connectomics.mapping import Part, map_blocks


class Growth(NamedTuple):
    """How a mask is grown before its components are found.

    Attributes:
        grow: From (Z, Y, X) bool to the same. It can be pickled.
        reach: Voxels (z, y, x) by which it grows at most.
    """

    grow: Callable[[np.ndarray], np.ndarray]
    reach: tuple[int, int, int]


def in_plane(size: int) -> Growth:
    """Dilation by a square of `size` x `size` within each section; 0 or 1 for none.

    Raises:
        DataError: `size` is even.
    """
    if size < 0 or (size and size % 2 == 0):
        raise DataError("evaluation: dilate_sz", f"{size} is not odd.", "Use 0, 1, 3, 5, ...")
    return Growth(partial(_dilated, size), (0, size // 2, size // 2))


def _dilated(size: int, mask: np.ndarray) -> np.ndarray:
    from scipy.ndimage import maximum_filter1d

    for axis in (1, 2) if size > 1 else ():
        mask = maximum_filter1d(mask, size, axis=axis, mode="constant")
    return mask


class Components:
    """The components of a mask, labelled a block at a time, numbered as on the whole.

    That is by their first voxel, z slowest. Two blocks both see the voxels on either side of
    their common face, and what they call them there is one component. What is kept grows with
    components and blocks, not with voxels: labels are made anew where they are read.

    Attributes:
        shape: (Z, Y, X).
        chunks: Of the mask.
        count: Components.
    """

    def __init__(
        self,
        mask: Labels,
        growth: Growth,
        *,
        connectivity: Literal[6, 18, 26] = 6,
        min_size: int = 0,
    ) -> None:
        """Find the components.

        Args:
            mask: (Z, Y, X), foreground where not 0.
            growth: Of the mask, before its components are found.
            connectivity: 6, 18 or 26 neighbours.
            min_size: Voxels of the smallest grown component that is kept.
        """
        self.shape = mask.shape
        self.chunks = getattr(mask, "chunks", None)
        self._mask, self._growth = mask, growth
        self._connectivity: Literal[6, 18, 26] = connectivity
        self._blocks = blocks_of(mask)
        self._latest: tuple[int, np.ndarray] | None = None
        self._names, self._first, self.count = self._number(min_size)
        self._dtype = np.min_scalar_type(self.count)

    @cached_property
    def extents(self) -> Extents:
        """Its objects, 0 as well."""
        return list_values(self)

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in self.__dict__.items() if name != "extents"}
        return {**state, "_latest": None}

    def read(self, box: Box) -> np.ndarray:
        """(Z, Y, X) numbers of a box, 0 where the grown mask is not; as narrow as they all fit."""
        found = np.zeros(box.shape, self._dtype)
        for i in self._touched(box):
            block = self._blocks[i]
            shared = Box(
                _each(max, box.start, block.start),
                _each(min, box.stop, block.stop),
            )
            to = shared.shift([-a for a in box.start]).slices
            of = shared.shift([-a for a in block.start]).slices
            found[to] = self._named(i)[of]
        return found

    def _touched(self, box: Box) -> Iterator[int]:
        """The blocks that share voxels with a box."""
        step = self._blocks[0].shape
        count = [-(-n // s) for n, s in zip(self.shape, step, strict=True)]
        rows = [
            range(a // s, -(-b // s)) for a, b, s in zip(box.start, box.stop, step, strict=True)
        ]
        for z, y, x in itertools.product(*rows):
            yield (z * count[1] + y) * count[2] + x

    def _named(self, i: int) -> np.ndarray:
        if self._latest is None or self._latest[0] != i:
            labels, region = self._label(self._blocks[i])
            inner = self._blocks[i].shift([-a for a in region.start]).slices
            names = np.append(0, self._names[self._first[i] : self._first[i + 1]])
            self._latest = i, names.astype(self._dtype)[labels[inner]]
        return self._latest[1]

    def _label(self, block: Box) -> tuple[np.ndarray, Box]:
        """Labels of a block and the voxels around it, and where they lie."""
        import cc3d

        region = block.grow(1).clip(self.shape)
        outer = region.grow(self._growth.reach).clip(self.shape)
        grown = self._growth.grow(read(self._mask, outer) != 0)
        inner = grown[region.shift([-a for a in outer.start]).slices]
        labels = cc3d.connected_components(
            np.ascontiguousarray(inner), connectivity=self._connectivity
        )
        return labels, region

    def _found(self, block: Box) -> Part:
        """Of each label of a block its first voxel and its size, and what other blocks see too."""
        labels, region = self._label(block)
        index = np.flatnonzero(labels)
        local, at = np.unique(labels.reshape(-1)[index], return_index=True)
        inner = labels[block.shift([-a for a in region.start]).slices]
        shared = np.flatnonzero(_outer(labels != 0, block, region, self.shape))
        return {
            "first": _globally(index[at], region, self.shape),
            "size": np.bincount(inner.reshape(-1), minlength=local.size + 1)[1:],
            "index": _globally(shared, region, self.shape),
            "label": labels.reshape(-1)[shared].astype(np.int64) - 1,
        }

    def _number(self, min_size: int) -> tuple[np.ndarray, np.ndarray, int]:
        """The number of each block's labels, where each block's begin, and how many there are."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        seams = _Seams(self.shape)
        firsts, sizes, counts = [], [], [0]
        found = map_blocks(self._found, self._blocks, "components found")
        for block, part in zip(self._blocks, found, strict=True):
            firsts.append(part["first"])
            sizes.append(part["size"])
            seams.add(block.start[0], part["index"], part["label"] + counts[-1])
            counts.append(counts[-1] + part["first"].size)
        edges, total = seams.edges(), counts[-1]
        graph = coo_array((np.ones(len(edges), bool), tuple(edges.T)), shape=(total, total))
        count, component = (
            connected_components(graph, directed=False) if total else (0, edges[:, 0])
        )
        first, size = np.full(count, np.iinfo(np.int64).max), np.zeros(count, np.int64)
        np.minimum.at(first, component, np.concatenate([*firsts, np.zeros(0, np.int64)]))
        np.add.at(size, component, np.concatenate([*sizes, np.zeros(0, np.int64)]))
        kept = size >= min_size
        rank = np.empty(count, np.int64)
        rank[np.argsort(first)] = np.arange(count)
        in_order = np.cumsum(kept[np.argsort(first)])
        names = np.where(kept, in_order[rank], 0) if count else rank
        return names[component], np.asarray(counts), int(kept.sum())


class _Seams:
    """Which labels of neighbouring blocks are one: those that both give to one voxel."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._found: list[np.ndarray] = [np.zeros((0, 2), np.int64)]
        self._index: list[np.ndarray] = []
        self._label: list[np.ndarray] = []
        self._layer = 0

    def add(self, layer: int, index: np.ndarray, label: np.ndarray) -> None:
        """See labels of a block that begins in section `layer`; z slowest."""
        if layer != self._layer:
            self._match()
            self._layer = layer
        self._index.append(index)
        self._label.append(label)

    def edges(self) -> np.ndarray:
        """(n, 2) pairs of labels that are one."""
        self._match()
        return np.concatenate(self._found)

    def _match(self) -> None:
        """Compare what was seen of a layer of blocks; keep what the next one sees as well."""
        if not self._index:
            return
        index, label = np.concatenate(self._index), np.concatenate(self._label)
        order = np.argsort(index, kind="stable")
        index, label = index[order], label[order]
        same = index[1:] == index[:-1]
        pairs = np.stack([label[:-1][same], label[1:][same]], axis=1)
        self._found.append(np.unique(pairs, axis=0))
        # What lies before the last two sections that were seen no later block sees again.
        section = self._shape[1] * self._shape[2]
        last = index[-1] // section if index.size else 0
        later = index >= (last - 1) * section
        self._index, self._label = [index[later]], [label[later]]


def _outer(seen: np.ndarray, block: Box, region: Box, shape: tuple[int, ...]) -> np.ndarray:
    """What is seen of a region around a block where other blocks see it as well."""
    start = [a + (a > 0) for a in block.start]
    stop = [b - (b < n) for b, n in zip(block.stop, shape, strict=True)]
    alone = Box(start, [max(a, b) for a, b in zip(start, stop, strict=True)])  # pyright: ignore
    seen[alone.shift([-a for a in region.start]).slices] = False
    return seen


def _each(
    pick: Callable[[int, int], int], first: Sequence[int], second: Sequence[int]
) -> tuple[int, int, int]:
    z, y, x = (pick(a, b) for a, b in zip(first, second, strict=True))
    return z, y, x


def _globally(index: np.ndarray, region: Box, shape: tuple[int, ...]) -> np.ndarray:
    """Flat indices in a region as flat indices in the volume, in the same order."""
    places = np.unravel_index(index, region.shape)
    at = [place + start for place, start in zip(places, region.start, strict=True)]
    return np.ravel_multi_index(at, shape).astype(np.int64)
