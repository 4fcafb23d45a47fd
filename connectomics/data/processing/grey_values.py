"""Exact order statistics of volumes that may exceed the memory, in few passes over them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomics.data.io import LazyVolume
from connectomics.data.volumes import Volume
from connectomics.errors import DataError
from connectomics.geometry import Box, Triple, block_boxes, block_shape
from connectomics.mapping import Part, Work, map_blocks

Image = LazyVolume | NDArray[Any]

PART_VOXELS = 2**26
"""What one process looks at before another may."""

BLOCK_VOXELS = 2**22
"""Voxels read at a time, but for chunks that are larger."""

COUNTED_VOXELS = 2**20
"""Voxels counted at a time: counting takes 8 bytes for each."""


def look_at(image: Image, work: Work, what: str) -> Iterator[Part]:
    """Go through an image once, in parts that suit its file, see `map_blocks`.

    Args:
        image: (Z, Y, X) or (C, Z, Y, X).
        work: Looks at a part, given the image and the box; a function of a module, to be pickled.
        what: What is done, for messages.
    """
    shape = image.shape[-3:]
    boxes = block_boxes(shape, block_shape(shape, _unit(image), PART_VOXELS))
    return map_blocks(partial(work, image), boxes, what)


def read_blocks(image: Image, within: Box) -> Iterator[tuple[Box, NDArray[Any]]]:
    """Read a part of an image block by block.

    Yields:
        The block's place in the image and its voxels, (z, y, x) or (C, z, y, x).
    """
    block = block_shape(within.shape, _unit(image), _room(image))
    for inner in block_boxes(within.shape, block):
        box = inner.shift(within.start)
        yield box, image.read(box) if isinstance(image, LazyVolume) else image[(..., *box.slices)]


def _unit(image: Image) -> Triple:
    """What is read together: a chunk, or rows where there are none."""
    chunks = image.chunks if isinstance(image, LazyVolume) else None
    _, height, width = image.shape[-3:]
    return chunks or (1, min(height, max(1, _room(image) // width)), width)


def _room(image: Image) -> int:
    return max(1, BLOCK_VOXELS // math.prod(image.shape[:-3]))


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
        for part in look_at(image, _count_values, "grey values counted"):
            counts += part["counts"]
    return values, counts


def _count_values(image: Image, box: Box) -> Part:
    limits = np.iinfo(np.uint8 if image.dtype.kind == "b" else image.dtype)
    counts = np.zeros(int(limits.max) - int(limits.min) + 1, np.int64)
    for _, block in read_blocks(image, box):
        _count(block, counts, lambda voxels: voxels.astype(np.int64) - limits.min)
    return {"counts": counts}


def _count(
    block: NDArray[Any], counts: NDArray[np.int64], place: Callable[[NDArray[Any]], NDArray[Any]]
) -> None:
    """Add to counts how many voxels of a block have each place among them."""
    voxels = block.reshape(-1)
    for start in range(0, voxels.size, COUNTED_VOXELS):
        counts += np.bincount(place(voxels[start : start + COUNTED_VOXELS]), minlength=counts.size)


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
        for part in look_at(image, _count_upper, "grey values counted"):
            upper += part["counts"]
    reached = np.cumsum(upper)
    ranks, interpolate = _ranks(int(reached[-1]), fractions)
    bins = np.searchsorted(reached, ranks, side="right").tolist()
    lower = {b: np.zeros(2**16, np.int64) for b in bins}
    for image in images:
        for part in look_at(image, partial(_count_lower, [*lower]), "grey values counted again"):
            for b, counts in zip(lower, part["counts"], strict=True):
                lower[b] += counts
    found = []
    for rank, b in zip(ranks, bins, strict=True):
        within = rank - (reached[b] - upper[b])
        last_bits = int(np.searchsorted(np.cumsum(lower[b]), within, side="right"))
        found.append(_value(b << 16 | last_bits))
    return interpolate(found)


def _count_upper(image: Image, box: Box) -> Part:
    """How often the upper 16 bits of a part occur."""
    counts = np.zeros(2**16, np.int64)
    for inner, block in read_blocks(image, box):
        require_finite_block(image, inner, block)
        _count(block, counts, lambda voxels: _sortable(voxels) >> 16)
    return {"counts": counts}


def _count_lower(bins: Sequence[int], image: Image, box: Box) -> Part:
    """How often the lower 16 bits of a part occur, with each of some upper ones."""
    counts = np.zeros((len(bins), 2**16), np.int64)
    for _, block in read_blocks(image, box):
        for b, of_bin in zip(bins, counts, strict=True):
            _count(block, of_bin, partial(_lower_bits, b))
    return {"counts": counts}


def _lower_bits(upper: int, voxels: NDArray[Any]) -> NDArray[Any]:
    keys = _sortable(voxels)
    return keys[keys >> 16 == upper] & 0xFFFF


def require_finite(image: Image) -> None:
    """Check that no voxel of an image is NaN or infinite; whole numbers are not read.

    Raises:
        DataError: The first that is.
    """
    if image.dtype.kind == "f":
        for _ in look_at(image, _look_for_others, "grey values checked"):
            pass


def _look_for_others(image: Image, box: Box) -> Part:
    """Find nothing in a part, or refuse what it holds."""
    for inner, block in read_blocks(image, box):
        require_finite_block(image, inner, block)
    return {}


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


def require_finite_block(image: Image | Volume, box: Box, block: NDArray[Any]) -> None:
    """Check that no voxel of a block is NaN or infinite.

    Args:
        image: What it is of, for the message.
        box: Where in it.
        block: (z, y, x) or (C, z, y, x).

    Raises:
        DataError: The first that is.
    """
    with np.errstate(over="ignore"):
        finite = np.isfinite(block.astype(np.float32, copy=False))
    if finite.all():
        return
    *channel, z, y, x = (int(i) for i in np.unravel_index(np.argmin(finite), finite.shape))
    value = block[(*channel, z, y, x)]
    place = Box((z, y, x), (z, y, x)).shift(box.start).start
    raise DataError(
        image.source if isinstance(image, Volume) else "image",
        f"the image holds {value} at voxel {place} (z, y, x).",
        "Replace such voxels, for instance numpy.nan_to_num(image), and save it again.",
    )
