"""Predictions and images are numbers, all of them, or it is said which voxel is not."""

from __future__ import annotations

import math

import numpy as np

from connectomics.errors import DataError

IMAGE = (
    "the image, as the network would see it, is",
    "Replace such voxels, for instance numpy.nan_to_num(image), and save it again.",
)
NETWORK = (
    "the network gives",
    "Its weights or activations overflow: use precision 32-true or another checkpoint.",
)


def require(
    legal: np.ndarray,
    values: np.ndarray,
    start: tuple[int, int, int],
    where: str,
    said: tuple[str, str],
) -> None:
    """Insist that all values of a part of a volume are legal.

    Args:
        legal: Whether each is, bool of the shape of `values`.
        values: (Z, Y, X) or (C, Z, Y, X).
        start: The first voxel (z, y, x) of the part.
        where: The volume.
        said: What is wrong, before the value, and the remedy.

    Raises:
        DataError: The first that is not, with its voxel and channel.
    """
    if legal.all():
        return
    place = np.unravel_index(int(np.argmin(legal)), legal.shape)
    *channel, z, y, x = (int(i) for i in place)
    of_channel = f", channel {channel[0]}" if channel else ""
    z, y, x = z + start[0], y + start[1], x + start[2]
    voxel = f"voxel ({z}, {y}, {x}) (z, y, x){of_channel}"
    raise DataError(where, f"{said[0]} {values[place]} at {voxel}.", said[1])


def require_finite(
    values: np.ndarray, start: tuple[int, int, int], where: str, said: tuple[str, str]
) -> None:
    """Insist that no value of a part of a volume is NaN or infinite; see `require`."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = values.sum(dtype=np.float32)  # one pass, and no array of booleans
    if not math.isfinite(total):
        require(np.isfinite(values), values, start, where, said)
