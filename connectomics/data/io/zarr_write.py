"""Writing Zarr v3 as an OME-Zarr 0.5 image, which viewers open at the right scale."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zarr
from numpy.typing import NDArray

from connectomics.data.io import ome
from connectomics.data.io.header import Header
from connectomics.data.io.location import Location

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
    group = zarr.create_group(temporary, zarr_format=3)
    group.attrs["ome"] = ome.describe(location.name, ARRAY, header)
    array = group.create_array(
        ARRAY,
        shape=header.shape,
        dtype=header.dtype,
        chunks=header.full_chunks or "auto",
        dimension_names=("c", "z", "y", "x")[-len(header.shape) :],
        attributes=dict(header.attributes),
    )
    yield ChunkByChunk(array), _nothing_to_check


def _nothing_to_check() -> None:
    """Chunks are written as they come."""
