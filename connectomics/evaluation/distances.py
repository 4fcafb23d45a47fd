"""How far the voxels of one mask lie from another: at once, or block by block, to the same digit.

Distances are exact, anisotropic and between voxel centres, rounded to a femtometre, so that they
are the same however they were found, and added up as whole numbers, in which order does not count.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from connectomics.geometry import Box
from connectomics.mapping import Part, map_blocks
from connectomics.process.cpus import available_cpus

LOOK_UP = 25
"""How many voxels a distance transform does in the time that one look-up takes."""

UNITS = 10**6
"""Of a nanometre, to which distances are rounded."""

KEPT_BYTES = 64 * 2**20
"""Of the voxels of blocks, which are kept for the next ones."""

Resolution = tuple[float, float, float]
Masks = Callable[[Box], tuple[np.ndarray, np.ndarray]]
"""From a box to what two volumes hold there, bool. It can be pickled."""

WORD = 10**9
"""In parts of this a sum of distances is written down, which may need more than 64 bits."""


class Apart(NamedTuple):
    """The voxels of one mask and their distances to another; `+` joins parts.

    Attributes:
        voxels: Of the mask.
        total: Sum of their distances, in `UNITS` of a nm.
        endless: Voxels with nothing to be near to.
        far: Voxels farther off than was asked for.
    """

    voxels: int = 0
    total: int = 0
    endless: int = 0
    far: int = 0

    @property
    def distance_nm(self) -> float:
        """Sum of the distances; inf where there is nothing to be near to."""
        return math.inf if self.endless else self.total / UNITS

    def plus(self, other: Apart) -> Apart:
        """Of both parts together."""
        return Apart(*(a + b for a, b in zip(self, other, strict=True)))

    def as_row(self) -> list[int]:
        """Five numbers of 64 bits."""
        return [self.voxels, *divmod(self.total, WORD), self.endless, self.far]

    @classmethod
    def from_row(cls, row: list[int]) -> Apart:
        """Undo `as_row`."""
        voxels, words, rest, endless, far = row
        return cls(voxels, words * WORD + rest, endless, far)


def count_apart(voxels: int, distances: np.ndarray, max_distance_nm: float) -> Apart:
    """Sum up distances.

    Args:
        voxels: All of the mask; those that are in the other mask are 0 away.
        distances: (n,) nm of those that are not.
        max_distance_nm: Farther is far.
    """
    rounded = np.rint(distances[np.isfinite(distances)] * UNITS).astype(np.int64)
    # Added up in parts, each of which is far from overflowing.
    total = sum(int(rounded[i : i + 2**16].sum()) for i in range(0, rounded.size, 2**16))
    endless = distances.size - rounded.size
    far = np.count_nonzero(rounded > round(max_distance_nm * UNITS))
    return Apart(voxels, total, endless, int(far) + endless)


def measure_apart(
    first: np.ndarray, second: np.ndarray, resolution: Resolution, max_distance_nm: float
) -> tuple[Apart, Apart]:
    """Of the first mask to the second, and the other way, both in memory."""

    def one_way(source: np.ndarray, target: np.ndarray) -> Apart:
        distances = _distances(source & ~target, target, resolution)
        return count_apart(int(np.count_nonzero(source)), distances, max_distance_nm)

    return one_way(first, second), one_way(second, first)


def _distances(outside: np.ndarray, target: np.ndarray, resolution: Resolution) -> np.ndarray:
    """Distance in nm of voxels outside the target to it.

    They are looked up in a tree of the target's surface, which for sparse masks takes a fraction
    of the time and memory of a distance transform; where there are too many, in one.
    """
    if not target.any():
        return np.full(np.count_nonzero(outside), np.inf)
    if np.count_nonzero(outside) * LOOK_UP > outside.size:
        return _transformed(target, resolution)[outside]
    surface = np.argwhere(target & ~_interior(target)) * np.asarray(resolution, float)
    return _looked_up(surface, np.argwhere(outside) * np.asarray(resolution, float))


def _transformed(target: np.ndarray, resolution: Resolution) -> np.ndarray:
    from scipy.ndimage import distance_transform_edt

    return np.asarray(distance_transform_edt(~target, sampling=resolution))


def _looked_up(surface: np.ndarray, places: np.ndarray) -> np.ndarray:
    from scipy.spatial import KDTree

    return KDTree(surface).query(places, workers=available_cpus())[0]


def _interior(mask: np.ndarray) -> np.ndarray:
    """Voxels whose neighbours along every axis are in the mask; beyond the faces all are."""
    inside = mask.copy()
    for axis in range(mask.ndim):
        to = np.swapaxes(inside, 0, axis)
        of = np.swapaxes(mask, 0, axis)
        to[1:] &= of[:-1]
        to[:-1] &= of[1:]
    return inside


class _Voxels(NamedTuple):
    """Of a block and one mask: (n, 3) voxels (z, y, x) of the volume.

    Attributes:
        count: Voxels of the mask.
        outside: Those that are not in the other mask.
        surface: Those among which is the nearest to whatever lies outside the mask.
    """

    count: int
    outside: np.ndarray
    surface: np.ndarray


class BlockDistances:
    """Distances between two masks that are read block by block.

    The nearest voxel is looked for in the blocks by their distance, nearest first, until no
    other can hold a nearer one. So distances are exact however long, and what is read at a time
    is a block.
    """

    def __init__(
        self, boxes: list[Box], masks: Masks, resolution: Resolution, max_distance_nm: float
    ) -> None:
        """See which blocks hold what.

        Args:
            boxes: The blocks, which cover the volume.
            masks: Reads both masks in a box inside the volume.
            resolution: nm per voxel (z, y, x).
            max_distance_nm: Farther is far.
        """
        self._boxes, self._masks, self._max = boxes, masks, max_distance_nm
        self._nm = np.asarray(resolution, float)
        self._shape = tuple(np.max([box.stop for box in boxes], axis=0).tolist())
        self._kept: OrderedDict[int, tuple[_Voxels, _Voxels]] = OrderedDict()
        # Of each mask and block, the tight box around its voxels: first and last (z, y, x).
        self._bounds = np.full((2, len(boxes), 2, 3), np.nan)
        found = map_blocks(self._bounds_in, boxes, "clefts located", range(len(boxes)))
        for i, part in enumerate(found):
            self._bounds[:, i] = part["bounds"]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": OrderedDict()}

    def measure(self) -> tuple[Apart, Apart]:
        """Of the first mask to the second, and the other way."""
        total = [Apart(), Apart()]
        numbers = range(len(self._boxes))
        for part in map_blocks(self._apart_in, self._boxes, "distances measured", numbers):
            rows = map(Apart.from_row, part["apart"].tolist())
            total = [one.plus(more) for one, more in zip(total, rows, strict=True)]
        return total[0], total[1]

    def _bounds_in(self, box: Box, i: int) -> Part:
        bounds = np.full((2, 2, 3), np.nan)
        for which, voxels in enumerate(self._block(i)):
            if voxels.count:
                bounds[which] = voxels.surface.min(0), voxels.surface.max(0)
        return {"bounds": bounds}

    def _apart_in(self, box: Box, i: int) -> Part:
        rows = []
        for which, voxels in enumerate(self._block(i)):
            distances = self._nearest(i, voxels.outside, 1 - which)
            rows.append(count_apart(voxels.count, distances, self._max).as_row())
        return {"apart": np.array(rows, np.int64)}

    def _nearest(self, i: int, voxels: np.ndarray, target: int) -> np.ndarray:
        """The distance of voxels of block `i` to a mask, nm; inf where that is empty."""
        best = np.full(len(voxels), np.inf)
        if not len(voxels):
            return best
        places, open_ = voxels * self._nm, np.ones(len(voxels), bool)
        if len(voxels) * LOOK_UP > self._boxes[i].size:
            best, open_ = self._transform(i, voxels, target)
        low, high = self._bounds[target].transpose(1, 0, 2) * self._nm
        gaps = _gap(low, high, places.min(0), places.max(0))
        for j in np.argsort(gaps)[: np.count_nonzero(np.isfinite(gaps))].tolist():
            if not open_.any() or gaps[j] > best[open_].max() + 1 / UNITS:
                break
            rows = np.flatnonzero(open_)
            apart = _gap(low[j], high[j], places[rows], places[rows])
            rows = rows[apart < best[rows] + 1 / UNITS]
            if rows.size:
                surface = self._block(j)[target].surface * self._nm
                best[rows] = np.minimum(best[rows], _looked_up(surface, places[rows]))
        return best

    def _transform(self, i: int, voxels: np.ndarray, target: int) -> tuple[np.ndarray, np.ndarray]:
        """Distances within a halo, and of which voxels something nearer may lie beyond it."""
        halo = np.minimum(np.ceil(self._max / self._nm), np.array(self._boxes[i].shape) // 8)
        halo = halo.astype(int) + 1
        around = self._boxes[i].grow(halo.tolist()).clip(self._shape)
        mask = self._masks(around)[target]
        if not mask.any():
            return np.full(len(voxels), np.inf), np.ones(len(voxels), bool)
        local = voxels - around.start
        z, y, x = self._nm.tolist()
        best = _transformed(mask, (z, y, x))[tuple(local.T)]
        beyond = np.full(len(voxels), np.inf)
        for axis, (a, b, n) in enumerate(zip(around.start, around.stop, self._shape, strict=True)):
            for steps in (local[:, axis] + 1,) * (a > 0) + (b - voxels[:, axis],) * (b < n):
                beyond = np.minimum(beyond, steps * self._nm[axis])
        return best, best > beyond

    def _block(self, i: int) -> tuple[_Voxels, _Voxels]:
        """What both masks hold of a block."""
        if i in self._kept:
            self._kept.move_to_end(i)
            return self._kept[i]
        first, second = self._masks(self._boxes[i])
        at = np.asarray(self._boxes[i].start)
        found = _voxels(first, second, at), _voxels(second, first, at)
        self._kept[i] = found
        while len(self._kept) > 1 and sum(map(_nbytes, self._kept.values())) > KEPT_BYTES:
            self._kept.popitem(last=False)
        return found


def _voxels(mask: np.ndarray, other: np.ndarray, at: np.ndarray) -> _Voxels:
    # The outermost voxels of a block count as surface: what lies beyond is not seen.
    inner = np.zeros_like(mask)
    core = (slice(1, -1),) * 3
    inner[core] = _interior(mask)[core]
    return _Voxels(
        int(np.count_nonzero(mask)),
        (np.argwhere(mask & ~other) + at).astype(np.int32),
        (np.argwhere(mask & ~inner) + at).astype(np.int32),
    )


def _nbytes(pair: tuple[_Voxels, _Voxels]) -> int:
    return sum(one.outside.nbytes + one.surface.nbytes for one in pair)


def _gap(low: np.ndarray, high: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Distance between boxes given by their first and last points; NaN for no box."""
    apart = np.maximum(np.maximum(low - last, first - high), 0)
    return np.sqrt((apart**2).sum(axis=-1))
