"""Which pieces of a side are one: what is near, what a lost section parts, what comes in steps."""

from __future__ import annotations

import itertools
import math

import numpy as np

from connectomics.decoding.candidates import Candidates, link_offset
from connectomics.decoding.merging import number_connected


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
    keys = []
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
    from scipy.spatial import KDTree

    depth, height, width = candidates.shape
    order = np.argsort(group, kind="stable")
    order = order[np.searchsorted(group[order], 0) :]
    if len(order) == 0:
        return group
    z = candidates.index[order] // (height * width)
    begin = np.flatnonzero(np.diff(group[order], prepend=-1))
    end = np.append(begin[1:], len(order))
    # The list is in scan order, so a group begins with its first section and ends with its last.
    row = candidates.synapse[order[begin]].astype(np.int64) * (depth + 1)
    starts, wanted = row + z[begin], row + z[end - 1] + 1
    points = candidates.points_nm(order)[:, 1:]
    by_start = np.argsort(starts, kind="stable")
    matches = [np.searchsorted(starts[by_start], wanted, side) for side in ("left", "right")]
    steps = []
    for a, (low, high) in enumerate(zip(*matches, strict=True)):
        for b in by_start[low:high]:
            top = np.flatnonzero(z[begin[a] : end[a]] == z[end[a] - 1]) + begin[a]
            bottom = np.flatnonzero(z[begin[b] : end[b]] == z[begin[b]]) + begin[b]
            apart, _ = KDTree(points[top]).query(points[bottom])
            if apart.min() <= candidates.resolution[0]:
                steps.append((group[order[begin[a]]], group[order[begin[b]]]))
    pairs = np.array(steps, np.int64).reshape(-1, 2)
    number = number_connected(int(group.max()) + 1, pairs)
    return np.where(group >= 0, number[group], -1)


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
