"""Which components may become one thing: those that lie near each other."""

from __future__ import annotations

import numpy as np

from connectomics.decoding import kernels


def group_near(boxes: np.ndarray, owner: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Group the owners of boxes that lie near each other, directly or by way of others.

    Args:
        boxes: (L, 2, 3) first voxel (z, y, x) and one past the last.
        owner: (L,) int64, the component from 0 that a box holds, or holds a part of.
        reach: (3,) the most voxels that lie between boxes that are near, along each axis.

    Returns:
        (K,) int64, the group of each of K components: the first component of the group.

    >>> boxes = np.array([[[0, 0, k], [1, 1, k + 1]] for k in (0, 2, 9, 4)])
    >>> group_near(boxes, np.arange(4), np.array([0, 0, 1])).tolist()
    [0, 0, 2, 0]
    """
    parent = np.arange(int(owner.max(initial=-1)) + 1, dtype=np.int64)
    if len(boxes):
        boxes = boxes.astype(np.int32)
        order, bounds = _bins(boxes, reach)
        kernels.boxes.join_near(boxes, owner, reach, order, bounds, parent)
    return parent


def _bins(boxes: np.ndarray, reach: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes by the bin of a coarse grid; a box is in each bin that it reaches into."""
    low, high = boxes[:, 0].astype(np.int64), boxes[:, 1] + reach
    size = np.maximum(2 * (high - low).mean(axis=0).astype(np.int64), 1)
    first, counts = low // size, high // size - low // size + 1
    entries = counts.prod(axis=1)
    box = np.repeat(np.arange(len(boxes)), entries)
    rest = np.arange(len(box)) - np.repeat(np.cumsum(entries) - entries, entries)
    rest, x = np.divmod(rest, counts[box, 2])
    z, y = np.divmod(rest, counts[box, 1])
    place = first[box] + np.stack([z, y, x], axis=1)
    _, height, width = place.max(axis=0) + 1
    key = (place[:, 0] * height + place[:, 1]) * width + place[:, 2]
    order = np.argsort(key, kind="stable")
    bounds = np.flatnonzero(np.diff(key[order], prepend=-1, append=-1))
    return box[order], bounds
