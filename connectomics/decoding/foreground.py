"""How much of a volume a network takes for synapse, where synapses fill about one voxel in 100."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from connectomics.decoding.probabilities import Probabilities, check_block
from connectomics.errors import DataError
from connectomics.process.sections import map_sections

MOST_UNION, MOST_BRIDGED = 0.2, 0.5
"""Shares of a volume that synapses do not fill, by far."""

LARGE_NM3 = 1e9
"""Volume that a crop around a few synapses has, of which they may fill most."""

MOST_OF_CROP = 0.5
"""The share of such a crop from which on it is told, though it may be right."""


class TooMuchForegroundError(DataError):
    """Probabilities that would make synapse of much of a volume."""


def foreground_doubt(
    volume: Any, *, exclusive: bool, resolution: Sequence[float] | None = None
) -> tuple[str, str] | None:
    """Doubt a network that says yes, or the same, everywhere.

    Args:
        volume: (C, Z, Y, X) probabilities of a decoder: pre, post and union, or one channel.
        exclusive: Whether the channels are background, pre and post.
        resolution: nm per voxel (z, y, x), where it is known.

    Returns:
        What is wrong and what to do, or None for what may be synapses.

    >>> problem, _ = foreground_doubt(np.ones((3, 4, 8, 8), bool), exclusive=False)
    >>> problem
    'the network takes 100% of the volume for synapse, where about one voxel in a hundred is.'
    >>> foreground_doubt(np.zeros((3, 4, 8, 8), bool), exclusive=False)
    """
    channels = volume.shape[0] if len(volume.shape) == 4 else 1
    probabilities = check_block(volume, channels=channels, where="foreground_doubt")
    filled = count_foreground(probabilities, exclusive=exclusive)
    return doubt_of_count(filled, volume.shape, exclusive=exclusive, resolution=resolution)


def count_foreground(probabilities: Probabilities, *, exclusive: bool) -> int:
    """Count the voxels of a volume or block that are likelier synapse than not.

    Args:
        probabilities: Of pre, post and union, or of one channel.
        exclusive: Whether the channels are background, pre and post.
    """
    channels = len(probabilities.volume) if len(probabilities.volume.shape) == 4 else 1
    channel = 2 if channels == 3 and not exclusive else 0

    def count(begin: int, end: int) -> int:
        p = probabilities.read_p(channel, begin, end)
        return int(np.count_nonzero(p <= 0.5 if exclusive else p >= 0.5))

    return sum(map_sections(probabilities.shape[0], count, thickness=probabilities.thickness))


def doubt_of_count(
    filled: int,
    shape: tuple[int, ...],
    *,
    exclusive: bool,
    resolution: Sequence[float] | None = None,
) -> tuple[str, str] | None:
    """What `foreground_doubt` gives, from what `count_foreground` gave for a volume.

    Args:
        filled: The sum over all blocks.
        shape: (C, Z, Y, X) of the volume, or (Z, Y, X).
        exclusive: Whether the channels are background, pre and post.
        resolution: nm per voxel (z, y, x), where it is known.
    """
    voxels = math.prod(shape[-3:])
    share = filled / voxels
    large = resolution is not None and voxels * math.prod(resolution) > LARGE_NM3
    if share <= (MOST_UNION if large else MOST_OF_CROP):
        return None
    problem = f"the network takes {share:.0%} of the volume for synapse, where about one voxel in "
    order = "background, pre, post" if exclusive else "pre, post, union"
    return f"{problem}a hundred is.", what_to_do(order if shape[:-3] == (3,) else "")


def what_to_do(order: str) -> str:
    """Say what to do about a network that says yes everywhere.

    Args:
        order: The order that the channels have to have, if there are several.
    """
    channels = f", and the order of the channels ({order})" if order else ""
    return (
        "The network says yes, or the same, everywhere: look at its probabilities and train it "
        f"longer; check that the image is as in training{channels}."
    )


def is_sparse(filled: np.ndarray, voxels: int, resolution: tuple[float, float, float]) -> bool:
    """Whether the foreground may be synapses, so that its voxels can be listed.

    Args:
        filled: Voxels of the union, and of its bridged components.
        voxels: Of the volume.
        resolution: nm per voxel (z, y, x).
    """
    few = bool(filled[0] <= MOST_UNION * voxels and filled[1] <= MOST_BRIDGED * voxels)
    return few or float(filled[1]) * float(np.prod(resolution)) <= LARGE_NM3


def sum_of_union(probabilities: Probabilities, exclusive: bool) -> float:
    """The sum of the probability of the union, or of the background, over a volume or block."""
    channel = 0 if exclusive else 2
    sums = map_sections(
        probabilities.shape[0],
        lambda begin, end: float(probabilities.read_p(channel, begin, end).sum(dtype=np.float64)),
        thickness=probabilities.thickness,
    )
    return sum(sums)


def too_much_foreground(
    where: str, filled: np.ndarray, total: float, voxels: int, *, exclusive: bool
) -> TooMuchForegroundError:
    """Refuse what cannot be synapses before its voxels are listed, at 150 bytes each.

    Args:
        where: The function the probabilities were given to.
        filled: Voxels of the union, and of its bridged components.
        total: What `sum_of_union` gives.
        voxels: Of the volume.
        exclusive: Whether the channels are background, pre and post.
    """
    mean = total / voxels
    return TooMuchForegroundError(
        where,
        f"{filled[0] / voxels:.0%} of the volume would be synapse ({filled[1] / voxels:.0%} with "
        f"the gaps that are bridged), and its mean probability is "
        f"{1 - mean if exclusive else mean:.2f}; synapses fill about one voxel in a hundred.",
        f"{what_to_do('background, pre, post' if exclusive else 'pre, post, union')} Or raise "
        "thres and hysteresis.",
    )
