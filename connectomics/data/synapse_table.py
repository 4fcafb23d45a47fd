"""The labelled synapses of the training volumes: how large a patch sees each, and where it lies.

Synapses, not voxels, are what a score counts. They tell how many labelled voxels a patch must
hold to show one whole, and drawing them evenly gives the small ones their share of the patches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from connectomics.data.foreground import RunForegroundTable, Size3
from connectomics.geometry import Box

REACH = 4
"""Pieces of one label with up to so many voxels between them in the plane are one synapse: the
baseline decoder joins them too, and the two sides may be drawn with the cleft left free."""

SMALL_SHARE = 0.05
"""A small synapse: those that are smaller hold this share of the labelled voxels together. By
voxels, so that stray specks of a label, however many, do not pass for small synapses."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class VolumeSynapses:
    """The synapses of one volume, as runs of voxels along x, those of a synapse side by side.

    Attributes:
        shape: `(Z, Y, X)` of the volume.
        rows: `(z, y)` of every run, (R, 2).
        starts: First voxel along x of every run.
        lengths: Voxels of every run.
        first: The first run of every synapse, and one past the last of all: (n + 1,).
    """

    shape: Size3
    rows: Ints
    starts: Ints
    lengths: Ints
    first: Ints

    @classmethod
    def of(cls, parts: Iterable[tuple[Box, np.ndarray]], shape: Size3) -> VolumeSynapses:
        """Find the synapses of a label volume.

        Args:
            parts: Boxes that hold each voxel once, in any order, and (z, y, x) integers of each; 0
                is background, and voxels of one synapse have one number. Pieces of one number that
                are farther apart than `REACH` are synapses of their own, as in semantic labels,
                which have only one.
            shape: The volume's `(Z, Y, X)`.

        >>> label = np.array([[[1, 1, 0, 0, 0, 0, 0, 1, 2]]])
        >>> VolumeSynapses.of([(Box((0, 0, 0), (1, 1, 9)), label)], (1, 1, 9)).voxels.tolist()
        [2, 1, 1]
        """
        rows, starts, lengths, numbers = _joined(*_runs(parts))
        synapse = _components(rows[:, 0] * shape[1] + rows[:, 1], starts, lengths, numbers, shape)
        order = np.argsort(synapse, kind="stable")
        first = np.searchsorted(synapse[order], np.arange(synapse.max(initial=-1) + 2))
        return cls(shape, rows[order], starts[order], lengths[order], first)

    def packed(self) -> dict[str, np.ndarray]:
        """Small arrays by name, for a file: mostly steps to the next row, which compress well."""
        places = np.column_stack([self.rows, self.starts])
        steps = np.diff(places, axis=0, prepend=0)
        arrays = {"z": steps[:, 0], "y": steps[:, 1], "x": steps[:, 2], "lengths": self.lengths}
        return {
            **{name: _small_type(values) for name, values in arrays.items()},
            "runs": _small_type(np.diff(self.first)),
        }

    @classmethod
    def unpacked(cls, arrays: Mapping[str, np.ndarray], shape: Size3) -> Self:
        """Undo `packed`."""
        z, y, x = (np.cumsum(arrays[axis], dtype=np.int64) for axis in "zyx")
        first = np.concatenate([[0], np.cumsum(arrays["runs"], dtype=np.int64)])
        return cls(shape, np.column_stack([z, y]), x, arrays["lengths"].astype(np.int64), first)

    def foreground(self) -> RunForegroundTable:
        """All of their voxels, to be counted."""
        (_, height, width), (z, y) = self.shape, self.rows.T
        return RunForegroundTable((z * height + y) * width + self.starts, self.lengths, self.shape)

    @property
    def voxels(self) -> Ints:
        """How many voxels each synapse has."""
        before = np.concatenate(([0], np.cumsum(self.lengths)))
        return np.diff(before[self.first])

    @property
    def whole(self) -> np.ndarray:
        """Which synapses are large enough to be whole: no specks, and no slivers at a border."""
        return self.voxels >= _small(np.sort(self.voxels))

    @property
    def whole_sizes(self) -> Ints:
        """Voxels of the `whole` ones that touch no face of the volume, which may have cut them.

        Of all `whole` ones where each touches one.
        """
        (low, high), whole = self.bounds(), self.whole
        inside = whole & ((low > 0) & (high < self.shape)).all(axis=1)
        return self.voxels[inside if inside.any() else whole]

    def bounds(self) -> tuple[Ints, Ints]:
        """The first voxel `(z, y, x)` of each synapse's box, and one past its last: (n, 3) each."""
        if len(self.first) < 2:
            return np.zeros((0, 3), dtype=np.int64), np.zeros((0, 3), dtype=np.int64)
        low, high = self._ends()
        first = self.first[:-1]
        return np.minimum.reduceat(low, first), np.maximum.reduceat(high, first)

    def seen_by(self, patch_size: Size3) -> Ints:
        """How many voxels of each synapse lie in a patch that is centred on it."""
        if len(self.first) < 2:
            return np.zeros(0, dtype=np.int64)
        low, high = self._ends()
        middle = np.add(*self.bounds()) // 2
        size = np.asarray(patch_size)
        start = np.clip(middle - size // 2, 0, np.asarray(self.shape) - size)
        start = np.repeat(start, np.diff(self.first), axis=0)
        inside = np.minimum(high, start + size) - np.maximum(low, start)
        return np.add.reduceat(inside.clip(min=0).prod(axis=1), self.first[:-1])

    def _ends(self) -> tuple[Ints, Ints]:
        """The first voxel of every run, and one past its last along each axis."""
        low = np.column_stack([self.rows, self.starts])
        return low, np.column_stack([self.rows + 1, self.starts + self.lengths])

    def voxel(self, synapse: int, rank: int) -> Size3:
        """The `rank`-th voxel of a synapse, in scan order."""
        begin, end = self.first[synapse : synapse + 2]
        before = np.cumsum(self.lengths[begin:end])
        run = int(np.searchsorted(before, rank, side="right"))
        rank -= int(before[run - 1]) if run else 0
        (z, y), x = self.rows[begin + run], self.starts[begin + run] + rank
        return int(z), int(y), int(x)


class SynapseTable:
    """The synapses of all training volumes, to draw from.

    Each is drawn equally often, whatever its size, but for those smaller than `small`, the
    specks of a label among them: they are drawn as often as their size makes up of that.

    Args:
        volumes: Their synapses.
        patch_size: `(z, y, x)`.

    Attributes:
        sizes: Voxels of each synapse that a patch centred on it holds, sorted.
        small: The size of a small whole synapse, see `SMALL_SHARE`; 0 where nothing is labelled.
    """

    def __init__(self, volumes: Sequence[VolumeSynapses], patch_size: Size3) -> None:
        self.volumes = tuple(volumes)
        seen = np.concatenate([np.zeros(0, np.int64), *(v.seen_by(patch_size) for v in volumes)])
        self.sizes = np.sort(seen)
        self.small = _small(self.sizes)
        self._bounds = np.cumsum([len(volume.first) - 1 for volume in volumes])
        self._weights = np.cumsum(np.minimum(seen, self.small))
        self._voxels = [volume.voxels for volume in volumes]

    def draw(self, rng: np.random.Generator) -> tuple[int, Size3]:
        """Draw a synapse, then one of its voxels, all equally likely.

        Returns:
            The number of the volume, and the voxel `(z, y, x)` there. Something is labelled.
        """
        rank = int(rng.integers(self._weights[-1]))
        synapse = int(np.searchsorted(self._weights, rank, side="right"))
        volume = int(np.searchsorted(self._bounds, synapse, side="right"))
        synapse -= int(self._bounds[volume - 1]) if volume else 0
        rank = int(rng.integers(self._voxels[volume][synapse]))
        return volume, self.volumes[volume].voxel(synapse, rank)


def small_whole(sizes: Sequence[np.ndarray]) -> float:
    """The size of a small one among synapses that are whole: 5 % have less; 0 where there are none.

    Args:
        sizes: Those of each volume, in whatever unit.

    >>> small_whole([np.array([100, 300]), np.array([200])])
    110.0
    """
    together = np.concatenate([np.empty(0), *sizes])
    return float(np.percentile(together, 5)) if together.size else 0.0


def _small_type(values: Ints) -> np.ndarray:
    """The same numbers in as few bytes as hold them."""
    low, high = values.min(initial=0), values.max(initial=0)
    bits = next(b for b in (8, 16, 32, 64) if -(2 ** (b - 1)) <= low and high < 2 ** (b - 1))
    return values.astype(f"int{bits}")


def _small(sizes: Ints) -> int:
    """The size below which synapses hold less than `SMALL_SHARE` of the voxels; `sizes` sorted.

    >>> _small(np.array([1, 1, 1, 900, 1000, 3000]))
    900
    """
    held = np.cumsum(sizes)
    return int(sizes[np.searchsorted(held, SMALL_SHARE * held[-1])]) if len(sizes) else 0


def _runs(parts: Iterable[tuple[Box, np.ndarray]]) -> tuple[Ints, Ints, Ints, Ints]:
    """Runs of one number along x: their (z, y), where they start, how long they are, the number."""
    rows = [np.zeros((0, 2), np.int64)]
    starts, lengths, numbers = [_NONE], [_NONE], [_NONE]
    for box, part in parts:
        used = np.argwhere(part.any(axis=2))
        if not len(used):
            continue
        width = part.shape[2]
        flat = np.pad(part[*used.T], ((0, 0), (0, 1))).ravel()  # a zero ends every row
        edges = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1, [len(flat)]))
        begin, length = edges[:-1], np.diff(edges)
        kept = flat[begin] > 0
        row, x = np.divmod(begin[kept], width + 1)
        rows.append(used[row] + box.start[:2])
        starts.append(x + box.start[2])
        lengths.append(length[kept])
        numbers.append(flat[begin[kept]].astype(np.int64))
    return (
        np.concatenate(rows),
        np.concatenate(starts),
        np.concatenate(lengths),
        np.concatenate(numbers),
    )


def _joined(
    rows: Ints, starts: Ints, lengths: Ints, numbers: Ints
) -> tuple[Ints, Ints, Ints, Ints]:
    """Runs in scan order; those that touch, as where two boxes meet, are one."""
    order = np.lexsort([starts, rows[:, 1], rows[:, 0]])
    rows, starts, lengths, numbers = (a[order] for a in (rows, starts, lengths, numbers))
    goes_on = (rows[1:] == rows[:-1]).all(axis=1) & (numbers[1:] == numbers[:-1])
    goes_on &= starts[1:] == starts[:-1] + lengths[:-1]
    first = np.flatnonzero(np.concatenate(([True], ~goes_on))[: len(rows)])
    whole = np.add.reduceat(lengths, first) if len(first) else lengths
    return rows[first], starts[first], whole, numbers[first]


_NONE = np.zeros(0, dtype=np.int64)


def _components(row: Ints, starts: Ints, lengths: Ints, numbers: Ints, shape: Size3) -> Ints:
    """Number the synapses from 0: runs of one number within `REACH` of each other belong together.

    Row by row at every distance, what touches is found by binary search, and joined before the
    next distance is looked at, so that there are never more pairs than runs that overlap.
    """
    _, height, width = shape
    stride = width + 2 * REACH + 1  # no run reaches into the next row
    begin = row * stride + starts
    end = begin + lengths
    synapse = np.arange(len(row))
    distances = [(0, dy) for dy in range(REACH + 2)]
    distances += [(1, dy) for dy in range(-REACH - 1, REACH + 2)]
    for dz, dy in distances:
        y = row % height + dy
        shift = (dz * height + dy) * stride
        low = np.searchsorted(end, begin + shift - REACH, side="left")
        high = np.searchsorted(begin, end + shift + REACH, side="right")
        count = np.where((y >= 0) & (y < height), high - low, 0).clip(min=0)
        run = np.repeat(np.arange(len(row)), count)
        other = np.arange(len(run)) - np.repeat(np.cumsum(count) - count, count) + low[run]
        joined = (numbers[run] == numbers[other]) & (synapse[run] != synapse[other])
        if joined.any():
            pairs = synapse[run[joined]], synapse[other[joined]]
            number = int(synapse.max()) + 1
            graph = coo_array((np.ones(len(pairs[0]), bool), pairs), shape=(number, number))
            synapse = connected_components(graph, directed=False)[1][synapse].astype(np.int64)
    return synapse
