"""How much of the training labels each channel of the target takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

import numpy as np

from connectomics.data.dataset import PatchSource, Target
from connectomics.geometry import Box

MOST_VOXELS = 2**27
"""A larger volume is looked at in boxes that are evenly spaced; the shares do not need more."""

NOTHING = np.zeros(0, dtype=np.int64)


def target_shares(
    sources: Sequence[PatchSource], target: Target, *, most: int = MOST_VOXELS
) -> list[np.ndarray]:
    """Measure how often each value of the target occurs among the voxels that count.

    Args:
        sources: The training volumes; those held in memory are read at no cost.
        target: From labels `(Z, Y, X)` to `(C, Z, Y, X)`: 0 or 1, or class ids.
        most: Voxels to look at, in each volume.

    Returns:
        For each channel, the share of each class: `[background, foreground]` where the target is
        yes or no. Shares sum to 1; empty where no voxel counts.
    """
    counts: list[np.ndarray] = []
    for source in sources:
        for box in _spread(source, most):
            label, counted = source.read_label(box)
            channels = target(label)
            found = [
                _counted(channel if counted is None else channel[counted]) for channel in channels
            ]
            counts = [_added(*pair) for pair in zip_longest(counts, found, fillvalue=NOTHING)]
    return [count / max(count.sum(), 1) for count in counts]


def _spread(source: PatchSource, most: int) -> Iterator[Box]:
    """Boxes of a volume, evenly spaced, of about `most` voxels together and at least one."""
    boxes = source.boxes()
    number = max(1, most // boxes[0].size)
    if number >= len(boxes):
        yield from boxes
        return
    for index in np.linspace(0, len(boxes) - 1, number).round().astype(int):
        yield boxes[index]


def _counted(channel: np.ndarray) -> np.ndarray:
    """How many voxels hold 0, 1, 2, ..."""
    if channel.max(initial=0) > 1:
        return np.bincount(np.rint(channel).astype(np.uint8).ravel())
    foreground = np.count_nonzero(channel > 0.5)
    return np.array([channel.size - foreground, foreground])


def _added(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    total = np.zeros(max(len(one), len(other)), dtype=np.int64)
    total[: len(one)] += one
    total[: len(other)] += other
    return total
