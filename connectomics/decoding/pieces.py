"""Which pieces of a side are one: what is near, what a lost section parts, what comes in steps."""

from __future__ import annotations

import itertools
import math

import numpy as np

from connectomics.decoding.candidates import Candidates, link_offset
from connectomics.decoding.merging import number_connected

FEW_PAIRS = 4096
"""Pairs of points up to which it is quicker to measure all of them."""


def join_near(candidates: Candidates, piece: np.ndarray, count: int, apart_nm: float) -> np.ndarray:
    """Join the pieces of a synapse that lie near each other, or a lost section apart."""
    taken = np.flatnonzero(piece >= 0)
    owner = np.zeros(count, np.int64)
    owner[piece[taken]] = candidates.synapse[taken]
    several = np.bincount(owner, minlength=max(candidates.count, 1))[owner] > 1
    taken = taken[several[piece[taken]]]
    if len(taken) == 0:
        return piece
    index, of_place = candidates.index[taken], piece[taken].astype(np.int64)
    keys = [np.zeros(0, np.int64)]
    for offset in _offsets_within(apart_nm, candidates.resolution):
        after = link_offset(index, candidates.shape, offset)
        here = np.flatnonzero(after >= 0)
        a, b = of_place[here], of_place[after[here]]
        keys.append(np.unique((a * count + b)[(a != b) & (owner[a] == owner[b])]))
    a, b = np.divmod(np.unique(np.concatenate(keys)), count)
    return np.where(piece >= 0, number_connected(count, np.stack([a, b], axis=1))[piece], -1)


def join_steps(candidates: Candidates, group: np.ndarray) -> np.ndarray:
    """Join groups of a synapse where one begins in the section after another ends.

    In the plane they lie no further apart than a section is thick: the plate rises at 45° or
    more. Partners lie beside each other in the same sections and stay apart.
    """
    depth, height, width = candidates.shape
    order = np.argsort(group, kind="stable")
    order = order[np.searchsorted(group[order], 0) :]
    if len(order) == 0:
        return group
    z = candidates.index[order] // (height * width)
    begin = np.flatnonzero(np.diff(group[order], prepend=-1))
    end = np.append(begin[1:], len(order))
    # The list is in scan order, so a group begins with its first section and ends with its last.
    section = group[order].astype(np.int64) * depth + z
    bottom = np.searchsorted(section, section[begin], "right")
    top = np.searchsorted(section, section[end - 1], "left")
    row = candidates.synapse[order[begin]].astype(np.int64) * (depth + 1)
    starts, wanted = row + z[begin], row + z[end - 1] + 1
    points = candidates.points_nm(order)[:, 1:]
    below, above = _boxes(points, begin, bottom), _boxes(points, top, end)
    by_start = np.argsort(starts, kind="stable")
    matches = [np.searchsorted(starts[by_start], wanted, side) for side in ("left", "right")]
    steps = []
    for a, (low, high) in enumerate(zip(*matches, strict=True)):
        later = by_start[low:high]
        gap = np.maximum(below[later, 0] - above[a, 1], above[a, 0] - below[later, 1])
        near = np.hypot(*np.maximum(gap, 0).T) <= candidates.resolution[0]
        for b in later[near]:
            apart = _apart(points[top[a] : end[a]], points[begin[b] : bottom[b]])
            if apart <= candidates.resolution[0]:
                steps.append((group[order[begin[a]]], group[order[begin[b]]]))
    pairs = np.array(steps, np.int64).reshape(-1, 2)
    number = number_connected(int(group.max()) + 1, pairs)
    return np.where(group >= 0, number[group], -1)


def _boxes(points: np.ndarray, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(N, 2, 2) least and greatest corner of each run of points (V, 2)."""
    ends = np.stack([begin, end], axis=1).ravel()
    padded = np.append(points, points[:1], axis=0)  # a run may end where the points do
    return np.stack([f.reduceat(padded, ends)[::2] for f in (np.minimum, np.maximum)], axis=1)


def _apart(points: np.ndarray, others: np.ndarray) -> float:
    """The distance between two sets of points."""
    from scipy.spatial import KDTree
    from scipy.spatial.distance import cdist

    if len(points) * len(others) <= FEW_PAIRS:
        return cdist(points, others).min()
    return KDTree(points).query(others)[0].min()


def _offsets_within(
    distance_nm: float, resolution: tuple[float, float, float]
) -> list[tuple[int, int, int]]:
    """Offsets (z, y, x) to the later voxels within a distance, two sections counting as that.

    >>> _offsets_within(8.0, (30.0, 8.0, 8.0))
    [(0, 0, 1), (0, 1, 0), (1, 0, 0), (2, 0, 0)]
    """
    scale = (distance_nm / 2, *resolution[1:])
    reach = [int(distance_nm / size + 1e-6) if size else 0 for size in scale]
    z, y, x = (range(-n, n + 1) for n in reach)
    return [
        offset
        for offset in itertools.product(z, y, x)
        if offset > (0, 0, 0)
        and math.hypot(*(n * size for n, size in zip(offset, scale, strict=True)))
        <= distance_nm + 1e-6
    ]
