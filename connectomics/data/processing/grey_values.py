"""Exact order statistics of volumes that may exceed the memory, in few passes over them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomics.data.io import LazyVolume
from connectomics.errors import DataError
from connectomics.geometry import Box, block_boxes

Image = LazyVolume | NDArray[Any]

# Voxels looked at in one go.
BLOCK_VOXELS = 2**22


def read_blocks(image: Image) -> Iterator[tuple[Box, NDArray[Any]]]:
    """Go through a volume once, in blocks that suit its file.

    Yields:
        The block's place and its voxels, (z, y, x) or (C, z, y, x).
    """
    chunks = (image.chunks if isinstance(image, LazyVolume) else None) or (1, 1, 1)
    *channels, depth, height, width = image.shape
    room = max(1, BLOCK_VOXELS // int(np.prod(channels)) // width)
    rows = min(height, _multiple(room, chunks[1]))
    sections = min(depth, _multiple(room // rows, chunks[0]))
    for box in block_boxes((depth, height, width), (sections, rows, width)):
        whole = image.read(box) if isinstance(image, LazyVolume) else image[(..., *box.slices)]
        yield box, whole


def count_values(images: Sequence[Image]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count how often each value of a bool, 8- or 16-bit type occurs.

    Returns:
        All values of the type in ascending order, and their counts over all images.
    """
    dtype = images[0].dtype
    limits = np.iinfo(np.uint8 if dtype.kind == "b" else dtype)
    values = np.arange(limits.min, limits.max + 1, dtype=np.int64)
    counts = np.zeros(values.size, np.int64)
    for image in images:
        for _, block in read_blocks(image):
            counts += np.bincount(block.ravel() - values[0], minlength=values.size)
    return values, counts


def quantiles_of_counts(
    values: NDArray[np.int64], counts: NDArray[np.int64], fractions: Sequence[float]
) -> list[float]:
    """Quantiles, interpolated between neighbours, of what `count_values` gives.

    >>> quantiles_of_counts(np.array([3, 5, 9]), np.array([2, 0, 1]), [0.5, 0.75, 1.0])
    [3.0, 6.0, 9.0]
    """
    reached = np.cumsum(counts)
    ranks, interpolate = _ranks(int(reached[-1]), fractions)
    at_ranks = values[np.searchsorted(reached, ranks, side="right")]
    return interpolate([float(value) for value in at_ranks])


def quantiles(images: Sequence[Image], fractions: Sequence[float]) -> list[float]:
    """Quantiles, interpolated between neighbours, in float32 precision.

    A radix selection in two passes: the upper 16 bits of all values are counted first, then the
    lower 16 of those that share them with a wanted value.

    Args:
        images: Of any numeric type; they are taken as one.
        fractions: In [0, 1].

    Raises:
        DataError: A voxel is NaN or infinite.
    """
    upper = np.zeros(2**16, np.int64)
    for image in images:
        for box, block in read_blocks(image):
            _check_finite(image, box, block)
            upper += np.bincount((_sortable(block) >> 16).ravel(), minlength=2**16)
    reached = np.cumsum(upper)
    ranks, interpolate = _ranks(int(reached[-1]), fractions)
    bins = np.searchsorted(reached, ranks, side="right").tolist()
    lower = {b: np.zeros(2**16, np.int64) for b in bins}
    for image in images:
        for _, block in read_blocks(image):
            keys = _sortable(block).ravel()
            for b, counts in lower.items():
                counts += np.bincount(keys[keys >> 16 == b] & 0xFFFF, minlength=2**16)
    found = []
    for rank, b in zip(ranks, bins, strict=True):
        within = rank - (reached[b] - upper[b])
        last_bits = int(np.searchsorted(np.cumsum(lower[b]), within, side="right"))
        found.append(_value(b << 16 | last_bits))
    return interpolate(found)


def require_finite(image: Image) -> None:
    """Check that no voxel of an image is NaN or infinite; whole numbers are not read.

    Raises:
        DataError: The first that is.
    """
    if image.dtype.kind == "f":
        for box, block in read_blocks(image):
            _check_finite(image, box, block)


def _ranks(
    total: int, fractions: Sequence[float]
) -> tuple[list[int], Callable[[list[float]], list[float]]]:
    """Places in sorted order that quantiles need, and how to make them of the values there."""
    places = [fraction * (total - 1) for fraction in fractions]
    ranks = [rank for p in places for rank in (math.floor(p), math.ceil(p))]

    def interpolate(values: list[float]) -> list[float]:
        below, above = values[0::2], values[1::2]
        return [a + (b - a) * (p % 1) for a, b, p in zip(below, above, places, strict=True)]

    return ranks, interpolate


def _sortable(values: NDArray[Any]) -> NDArray[np.uint32]:
    """Unsigned integers in the order of the floats: flip all bits of negatives, else the sign."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return np.where(bits >> 31 == 1, ~bits, bits | np.uint32(1 << 31))


def _value(key: int) -> float:
    bits = key ^ (1 << 31) if key >> 31 else key ^ 0xFFFFFFFF
    return float(np.uint32(bits).view(np.float32))


def _check_finite(image: Image, box: Box, block: NDArray[Any]) -> None:
    with np.errstate(over="ignore"):
        finite = np.isfinite(block.astype(np.float32, copy=False))
    if finite.all():
        return
    *channel, z, y, x = (int(i) for i in np.unravel_index(np.argmin(finite), finite.shape))
    value = block[(*channel, z, y, x)]
    place = Box((z, y, x), (z, y, x)).shift(box.start).start
    raise DataError(
        image.source if isinstance(image, LazyVolume) else "image",
        f"the image holds {value} at voxel {place} (z, y, x).",
        "Replace such voxels, for instance numpy.nan_to_num(image), and save it again.",
    )


def _multiple(length: int, step: int) -> int:
    return max(step, length // step * step)
