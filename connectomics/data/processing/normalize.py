"""Grey values → network input, with the statistics of the whole volume.

The same `ImageStatistics` serve training and inference; they are plain numbers and go into the
checkpoint where inference must repeat them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from connectomics.data.io import LazyVolume
from connectomics.data.processing.grey_values import (
    Image,
    count_values,
    look_at,
    quantiles,
    quantiles_of_counts,
    read_blocks,
)
from connectomics.errors import DataError
from connectomics.geometry import Box
from connectomics.mapping import Part

Mode = Literal["0-1", "z-score", "none"]


@dataclass(frozen=True)
class ImageStatistics:
    """Grey values of a volume.

    Attributes:
        low: Values below it are clipped to it.
        high: Values above it are clipped to it.
        mean: Of the clipped volume.
        std: Of the clipped volume.

    >>> statistics = ImageStatistics(low=10.0, high=200.0, mean=90.0, std=30.0)
    >>> ImageStatistics.from_dict(statistics.as_dict()) == statistics
    True
    """

    low: float
    high: float
    mean: float
    std: float

    def as_dict(self) -> dict[str, float]:
        """Plain floats, for a checkpoint or JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, float]) -> Self:
        """Undo `as_dict`.

        Raises:
            KeyError: One of the four numbers is missing.
        """
        return cls(**{item.name: float(values[item.name]) for item in fields(cls)})


def image_statistics(
    images: Image | Sequence[Image],
    *,
    clip_percentile_low: float = 0.0,
    clip_percentile_high: float = 1.0,
) -> ImageStatistics:
    """Measure the grey values of a volume, or of several taken as one.

    The numbers are exact (in float32 precision for other types than 8- and 16-bit integers),
    and independent of how the volume is stored. It is read block by block: once if it holds 8-
    or 16-bit integers, three times otherwise.

    Args:
        images: (Z, Y, X) or (C, Z, Y, X) arrays or lazy volumes.
        clip_percentile_low: Fraction of voxels below `low`, 0 for the smallest value.
        clip_percentile_high: Fraction of voxels below `high`, 1 for the largest value. Between
            voxels both are interpolated, as `numpy.quantile` does.

    Raises:
        DataError: A voxel is NaN or infinite, or there is one value only.
        ValueError: The fractions are not 0 <= low < high <= 1.

    >>> image = np.arange(101, dtype=np.uint8).reshape(1, 1, 101)
    >>> image_statistics(image, clip_percentile_low=0.05, clip_percentile_high=0.95).low
    5.0
    """
    fractions = (clip_percentile_low, clip_percentile_high)
    if not 0 <= fractions[0] < fractions[1] <= 1:
        raise ValueError(f"clip percentiles {fractions} must be fractions, 0 <= low < high <= 1")
    volumes = [images] if isinstance(images, LazyVolume | np.ndarray) else list(images)
    dtypes = {volume.dtype for volume in volumes}
    dtype = dtypes.pop()
    if not dtypes and dtype.kind in "biu" and dtype.itemsize <= 2:
        statistics = _of_small_integers(volumes, fractions)
    else:
        statistics = _of_other_types(volumes, fractions)
    if statistics.low == statistics.high:
        first = volumes[0]
        raise DataError(
            first.source if isinstance(first, LazyVolume) else "image",
            f"the image is {statistics.low:g} everywhere between its percentiles {fractions[0]:g} "
            f"and {fractions[1]:g}: there is nothing to see in it.",
            "Check the file; if most of it is padding, widen clip_percentile_low and _high.",
        )
    return statistics


def normalize(
    image: NDArray[Any], statistics: ImageStatistics | None, mode: Mode
) -> NDArray[np.float32]:
    """Bring grey values into the range a network expects.

    Args:
        image: Any shape, also a crop of the volume that was measured.
        statistics: Of the whole volume; not needed for "none".
        mode: "0-1": clipped, then `low` becomes 0 and `high` 1. "z-score": clipped, then `mean`
            becomes 0 and `std` 1. "none": neither clipped nor measured; integers are divided by
            the largest number of their type, floats stay as they are.

    Returns:
        float32 array of the image's shape.

    Raises:
        ValueError: The mode is unknown, or needs statistics that are not given.

    >>> statistics = ImageStatistics(low=50.0, high=150.0, mean=90.0, std=20.0)
    >>> image = np.array([[[0, 50, 100, 255]]], np.uint8)
    >>> normalize(image, statistics, "0-1").tolist()
    [[[0.0, 0.0, 0.5, 1.0]]]
    >>> normalize(image, statistics, "z-score").tolist()
    [[[-2.0, -2.0, 0.5, 3.0]]]
    >>> normalize(image, None, "none").max().item()
    1.0
    """
    grey = image.astype(np.float32)
    if mode == "none":
        if image.dtype.kind in "iu":
            grey /= np.float32(np.iinfo(image.dtype).max)
        return grey
    if mode not in ("0-1", "z-score") or statistics is None:
        raise ValueError(f"cannot normalize by {mode!r} with statistics {statistics}")
    zero, scale = statistics.low, statistics.high - statistics.low
    if mode == "z-score":
        zero, scale = statistics.mean, statistics.std
    np.clip(grey, statistics.low, statistics.high, out=grey)
    grey -= np.float32(zero)
    grey /= np.float32(scale)
    return grey


def _of_small_integers(volumes: Sequence[Image], fractions: tuple[float, float]) -> ImageStatistics:
    values, counts = count_values(volumes)
    low, high = quantiles_of_counts(values, counts, fractions)
    clipped = np.clip(values.astype(np.float64), low, high)
    mean = float(np.average(clipped, weights=counts))
    variance = float(np.average((clipped - mean) ** 2, weights=counts))
    return ImageStatistics(low, high, mean, math.sqrt(variance))


def _of_other_types(volumes: Sequence[Image], fractions: tuple[float, float]) -> ImageStatistics:
    low, high = quantiles(volumes, fractions)
    middle = (low + high) / 2
    count, total, squares = 0.0, 0.0, 0.0
    for volume in volumes:
        for part in look_at(volume, partial(_sum_up, low, high), "grey values summed up"):
            count, total, squares = part["sums"] + (count, total, squares)
    mean = float(total / count)
    variance = max(float(squares / count) - mean**2, 0)
    return ImageStatistics(low, high, middle + mean, math.sqrt(variance))


def _sum_up(low: float, high: float, volume: Image, box: Box) -> Part:
    """How many voxels a part has, and the sums of their clipped values and of the squares.

    From the middle of the range, so that large grey values cost no digits.
    """
    sums = np.zeros(3)
    for _, block in read_blocks(volume, box):
        distance = np.clip(block.astype(np.float64), low, high) - (low + high) / 2
        sums += distance.size, distance.sum(), np.square(distance).sum()
    return {"sums": sums}
