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
    whole, finer, wide = values.dtype.kind == "u", values, np.float32
    if whole:
        wide = np.uint32 if values.dtype.itemsize == 1 else np.uint64
    for step, level in zip(_steps(factors), factors, strict=True):
        sums = np.empty(smaller(finer.shape, step), wide)
        means = np.empty(sums.shape, values.dtype)
        axes = zip(values.shape, level, sums.shape, strict=True)
        in_z, in_y, in_x = (np.minimum(f, n - f * np.arange(m)) for n, f, m in axes)
        plane = np.outer(in_y, in_x).astype(wide)
        for z in range(len(sums)):
            first, *others = finer[step[0] * z : step[0] * (z + 1)]
            section = first.astype(wide)
            for other in others:
                section += other
            sums[z] = _in_pairs(_in_pairs(section, step[1]).T, step[2]).T
            count = plane * wide(in_z[z])
            means[z] = (sums[z] + count // 2) // count if whole else sums[z] / count
        yield means
        finer = sums


def _in_pairs(rows: NDArray[Any], step: int) -> NDArray[Any]:
    """Add up each two rows that follow one another, where the step is 2."""
    if step == 1:
        return rows
    total, odd = rows[::2].copy("K"), rows[1::2]
    total[: len(odd)] += odd
    return total


FUNCTIONS: dict[str, Callable[[NDArray[Any], Sequence[Triple]], Iterator[NDArray[Any]]]] = {
    "mean": _means,
    "mode": _modes,
}


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
