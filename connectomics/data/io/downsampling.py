"""What a voxel of a coarser level is, by the voxels inside it and by no others.

* `mean`, for probabilities: the mean of those of the finest level, rounded to the nearest value of
  the dtype, halves up where that is an integer.
* `mode`, for labels: the label that most of those of the level before have; of labels that equally
  many have, the one that comes first in the order (z, y, x). Background counts only where there is
  nothing else. So no label is invented, pre and post of a synapse stay apart, what is thin does not
  vanish, and labels that are numbered otherwise come out the same.

A voxel at index i of a level that is f times coarser begins at index f · i of the finest; at the
far end of a volume there are fewer voxels inside.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomics.compiling import compiled
from connectomics.data.io.pyramid import Pyramid, smaller
from connectomics.geometry import Triple
from connectomics.process.cpus import available_cpus

THICKNESS = 16
"""Sections that a thread works through at a time; a power of two, as all factors are."""

STRETCH = 64
"""Voxels of a row that are looked at together, as most of them are background."""

FEW = 2**22
"""Voxels that one thread works through as fast as several."""


def downsample(values: NDArray[Any], pyramid: Pyramid) -> list[NDArray[Any]]:
    """A block of each coarser level, finest first.

    Args:
        values: (z, y, x) or (C, z, y, x) of a block that begins at a multiple of all factors.
        pyramid: The levels.
    """
    factors, rule = pyramid.factors, FUNCTIONS[pyramid.rule]
    channels = values.reshape(-1, *values.shape[-3:])
    levels = [np.empty((len(channels), *smaller(values.shape, f)), values.dtype) for f in factors]
    thickness = max(THICKNESS, factors[-1][0])

    def work(place: tuple[int, int]) -> None:
        c, z = place
        parts = rule(channels[c, z : z + thickness], factors)
        for level, (f, _, _), part in zip(levels, factors, parts, strict=True):
            level[c, z // f : z // f + len(part)] = part

    places = itertools.product(range(len(channels)), range(0, channels.shape[1], thickness))
    threads = available_cpus() if values.size >= FEW else 1
    if threads == 1:
        for place in places:
            work(place)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, places))
    return [level.reshape(*values.shape[:-3], *level.shape[1:]) for level in levels]


def _steps(factors: Sequence[Triple]) -> Iterator[Triple]:
    """From each level to the next."""
    for finer, coarser in zip([(1, 1, 1), *factors], factors, strict=False):
        z, y, x = (b // a for a, b in zip(finer, coarser, strict=True))
        yield z, y, x


def _modes(values: NDArray[Any], factors: Sequence[Triple]) -> Iterator[NDArray[Any]]:
    finer = np.ascontiguousarray(values)
    for step in _steps(factors):
        coarser = np.empty(smaller(finer.shape, step), values.dtype)
        _take_most_frequent(finer, step, coarser)
        yield coarser
        finer = coarser


def _means(values: NDArray[Any], factors: Sequence[Triple]) -> Iterator[NDArray[Any]]:
    whole, finer, table = values.dtype.kind == "u", np.ascontiguousarray(values), None
    if values.dtype == np.float16:  # which Numba does not know
        finer, table = finer.view(np.uint16), _half_floats()
    exact = np.uint32 if values.dtype.itemsize == 1 else np.uint64
    for step, level in zip(_steps(factors), factors, strict=True):
        depth, height, width = smaller(finer.shape, step)
        sums = np.empty((depth, height, width), exact if whole else np.float32)
        means = np.empty(sums.shape, values.dtype)
        axes = zip(values.shape, level, sums.shape, strict=True)
        in_z, in_y, in_x = (np.minimum(f, n - f * np.arange(m)) for n, f, m in axes)
        plane = np.outer(in_y, in_x).astype(sums.dtype)
        for z in range(depth):
            _add_up(finer[step[0] * z : step[0] * (z + 1)], table, step, sums[z])
            count = plane * sums.dtype.type(in_z[z])
            means[z] = (sums[z] + count // 2) // count if whole else sums[z] / count
        yield means
        finer, table = sums, None


FUNCTIONS: dict[str, Callable[[NDArray[Any], Sequence[Triple]], Iterator[NDArray[Any]]]] = {
    "mean": _means,
    "mode": _modes,
}


@cache
def _half_floats() -> NDArray[np.float32]:
    """The value of each float16, by its bits."""
    return np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32)


@compiled
def _value(stored: Any, table: NDArray[np.float32] | None) -> Any:
    if table is None:
        return stored
    return table[stored]


@compiled
def _add_up(
    slab: NDArray[Any], table: NDArray[np.float32] | None, step: Triple, sums: NDArray[Any]
) -> None:
    """Add up the voxels of a slab, one coarser voxel deep, in each coarser voxel.

    Args:
        slab: (z, y, x), of values or of their places in the table.
        table: Values, or None.
        step: Voxels (z, y, x) of a coarser one.
        sums: (y, x) of the coarser voxels.
    """
    depth, height, width = slab.shape
    for row in range(sums.shape[0]):
        to = sums[row]
        to[:] = 0
        for z in range(depth):
            for y in range(row * step[1], min((row + 1) * step[1], height)):
                line = slab[z, y]
                if step[2] == 1:
                    for x in range(width):
                        to[x] += _value(line[x], table)
                else:
                    for x in range(width // 2):
                        to[x] += _value(line[2 * x], table) + _value(line[2 * x + 1], table)
                    if width % 2:
                        to[-1] += _value(line[-1], table)


@compiled
def _take_most_frequent(finer: NDArray[Any], step: Triple, coarser: NDArray[Any]) -> None:
    """Give each coarser voxel the label that most voxels in it have."""
    depth, height, width = finer.shape
    seen = np.empty(8, finer.dtype)
    coarser[:] = 0
    for z in range(coarser.shape[0]):
        for y in range(coarser.shape[1]):
            bottom, right = min((z + 1) * step[0], depth), min((y + 1) * step[1], height)
            for begin in range(0, width, STRETCH):
                end = min(begin + STRETCH, width)
                if _is_background(finer[z * step[0] : bottom, y * step[1] : right, begin:end]):
                    continue
                for x in range(begin // step[2], -(-end // step[2])):
                    count = 0
                    for a in range(z * step[0], bottom):
                        for b in range(y * step[1], right):
                            for c in range(x * step[2], min((x + 1) * step[2], width)):
                                if finer[a, b, c] != 0:
                                    seen[count] = finer[a, b, c]
                                    count += 1
                    coarser[z, y, x] = _most_frequent(seen[:count])


@compiled
def _is_background(labels: NDArray[Any]) -> bool:
    for a in range(labels.shape[0]):
        for b in range(labels.shape[1]):
            found = labels[a, b, 0]
            for c in range(labels.shape[2]):
                found |= labels[a, b, c]
            if found != 0:
                return False
    return True


@compiled
def _most_frequent(labels: NDArray[Any]) -> int:
    """The first of the labels that most have; 0 where there are none."""
    best, most = labels.dtype.type(0), 0
    for i in range(len(labels)):
        times = 0
        for j in range(i, len(labels)):
            if labels[j] == labels[i]:
                times += 1
        if times > most:
            best, most = labels[i], times
    return best
