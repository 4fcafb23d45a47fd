"""Writing Zarr v3 as an OME-Zarr 0.5 image, which viewers open at the right scale."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec, ZstdCodec

from connectomics.data.io import ome
from connectomics.data.io.header import Header
from connectomics.data.io.location import Location
from connectomics.data.io.pyramid import Pyramid, smaller
from connectomics.geometry import Triple

ARRAY = "0"


@dataclass(frozen=True)
class ChunkByChunk:
    """An array that is written one chunk at a time.

    When one of several chunks fails, Zarr goes on to write the others in the background, into a
    folder that is being removed: some of it would come back.
    """

    array: zarr.Array[Any]

    def __setitem__(self, index: tuple[slice, ...], values: NDArray[Any]) -> None:
        axes = [
            [slice(max(a, part.start), min(a + size, part.stop)) for a in _grid(part, size)]
            for part, size in zip(index, self.array.chunks, strict=True)
        ]
        for target in itertools.product(*axes):
            within = tuple(
                slice(t.start - part.start, t.stop - part.start)
                for t, part in zip(target, index, strict=True)
            )
            self.array[target] = values[within]


def _grid(part: slice, size: int) -> range:
    """Starts of the chunks that a slice touches."""
    return range(part.start // size * size, part.stop, size)


@contextmanager
def create(
    location: Location, temporary: Path, header: Header
) -> Iterator[tuple[ChunkByChunk, Callable[[], None]]]:
    """Create a store of one image with one resolution level, the array "0".

    Args:
        location: The final store, which gives the image its name.
        temporary: The folder to make.
        header: What to create.

    Yields:
        The array, and a function that has nothing to check: a full disk raises at once.
    """
    yield ChunkByChunk(create_array(temporary, location.name, header)), _nothing_to_check


def create_array(folder: Path, name: str, header: Header) -> zarr.Array[Any]:
    """Make a store whose voxels are all 0 as yet, of one level and a file for each chunk.

    Args:
        folder: The store to make.
        name: Of the image.
        header: What to create.
    """
    group = zarr.create_group(folder, zarr_format=3)
    group.attrs["ome"] = ome.describe(name, header)
    return group.create_array(
        ARRAY,
        shape=header.shape,
        dtype=header.dtype,
        chunks=header.full_chunks or "auto",
        dimension_names=("c", "z", "y", "x")[-len(header.shape) :],
        attributes=dict(header.attributes),
    )


def create_shards(
    folder: Path, name: str, header: Header, block: Triple, pyramid: Pyramid, chunks: Triple
) -> None:
    """Make a store whose voxels are all 0 as yet, with a file for each block of each level.

    Shards have a sum of each chunk, so that what a disk has lost is not read as something else.

    Args:
        folder: The store to make.
        name: Of the image.
        header: What to create.
        block: (z, y, x) voxels of a block of the finest level.
        pyramid: The coarser levels.
        chunks: (z, y, x) voxels that a chunk has about.
    """
    group = zarr.create_group(folder, zarr_format=3)
    group.attrs["ome"] = ome.describe(name, header, pyramid)
    for level in range(len(pyramid.factors) + 1):
        create_level(folder, level, header.shape, header.dtype, block, pyramid, chunks)
    group[ARRAY].attrs.update(dict(header.attributes))


def create_level(
    folder: Path,
    level: int,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    block: Triple,
    pyramid: Pyramid,
    chunks: Triple,
) -> None:
    """Make a level of such a store, in place of what there may be of it.

    Args:
        folder: The store.
        level: Its number.
        shape: (Z, Y, X) or (C, Z, Y, X) of the finest level.
        dtype: Of the voxels.
        block: As of `create_shards`, and so are the others.
        pyramid: The coarser levels.
        chunks: (z, y, x) voxels that a chunk has about.
    """
    factors, channels = ((1, 1, 1), *pyramid.factors)[level], shape[:-3]
    shard = smaller(block, factors)
    chunk = tuple(_divisor(n, c) for n, c in zip(shard, chunks, strict=True))
    zarr.open_group(folder, mode="r+").create_array(
        str(level),
        shape=(*channels, *smaller(shape, factors)),
        dtype=dtype,
        chunks=(*[1] * len(channels), *chunk),
        shards=(*channels, *shard),
        compressors=[ZstdCodec(level=1), Crc32cCodec()],
        dimension_names=("c", "z", "y", "x")[-len(shape) :],
        overwrite=True,
    )


def write_place(store: Path, header: Header) -> None:
    """Give a store that was written here the voxel size, offset and attributes of a header."""
    group = zarr.open_group(store, mode="r+")
    (image,) = group.attrs["ome"]["multiscales"]  # pyright: ignore
    pyramid = ome.pyramid_of(group.attrs.asdict())
    group.attrs["ome"] = ome.describe(str(image["name"]), header, pyramid)  # pyright: ignore
    group[ARRAY].attrs.update(dict(header.attributes))


def _divisor(length: int, wanted: int) -> int:
    """The divisor of a length that is nearest to what is wanted, as a ratio.

    >>> _divisor(512, 128), _divisor(96, 128), _divisor(509, 128), _divisor(21, 16)
    (128, 96, 509, 21)
    """
    divisors = (n for n in range(1, length + 1) if length % n == 0)
    return min(divisors, key=lambda n: max(n / wanted, wanted / n))


def _nothing_to_check() -> None:
    """Chunks are written as they come."""
