"""Arrays of chunks under keys, for formats whose chunks are read by code of this package."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from connectomics.data.io.header import Gaps

_T = TypeVar("_T")

CHUNKS_LOOKED_AT, ON_THE_WEB = 4096, 64
"""How many chunks are looked for before a volume is read, on a disk and over a network."""

AT_ONCE = 16
"""Chunks that are fetched over a network at the same time."""


class Chunks(Protocol):
    """Chunks of an array by their place in its grid."""

    def read(self, place: tuple[int, ...]) -> NDArray[Any] | None:
        """A chunk, perhaps cut at the end of the array; None where it is not there."""
        ...

    def has(self, place: tuple[int, ...]) -> bool:
        """Whether a chunk is there."""
        ...


@dataclass(frozen=True)
class ChunkedArray:
    """An array that reads the chunks that a box touches. Chunks that are not there are 0.

    Attributes:
        shape: Voxels along each axis.
        chunk: Voxels of a chunk along each axis.
        dtype: Of the voxels.
        chunks: Where they are read.
        remote: Whether they come over a network.
    """

    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: Chunks
    remote: bool = False

    def __getitem__(self, index: tuple[slice, ...]) -> NDArray[Any]:
        parts = [range(*part.indices(n)) for part, n in zip(index, self.shape, strict=True)]
        values = np.zeros([len(part) for part in parts], self.dtype)
        if not values.size:
            return values
        places = list(
            itertools.product(
                *(
                    range(part[0] // size, part[-1] // size + 1)
                    for part, size in zip(parts, self.chunk, strict=True)
                )
            )
        )

        def fill(place: tuple[int, ...]) -> None:
            self._fill(values, [part[0] for part in parts], place)

        _for_each(fill, places, AT_ONCE if self.remote else 1)
        return values

    def _fill(self, values: NDArray[Any], first: Sequence[int], place: tuple[int, ...]) -> None:
        chunk = self.chunks.read(place)
        if chunk is None:
            return
        inside, outside = [], []
        for axis, (i, size) in enumerate(zip(place, self.chunk, strict=True)):
            begin, stop = i * size, min((i + 1) * size, self.shape[axis])
            if chunk.shape[axis] < stop - begin:
                raise ValueError(
                    f"chunk {'/'.join(map(str, place))} has {chunk.shape} voxels, too few"
                )
            a = max(begin, first[axis])
            b = min(stop, first[axis] + values.shape[axis])
            inside.append(slice(a - begin, b - begin))
            outside.append(slice(a - first[axis], b - first[axis]))
        values[tuple(outside)] = chunk[tuple(inside)]

    def gaps(self) -> Gaps | None:
        """Count the chunks that are not there; see `count_gaps`."""
        grid = [-(-n // size) for n, size in zip(self.shape, self.chunk, strict=True)]
        return count_gaps(grid, self.chunks.has, remote=self.remote)


def count_gaps(
    grid: Sequence[int],
    has: Callable[[tuple[int, ...]], bool],
    *,
    remote: bool,
    what: str = "chunks",
) -> Gaps | None:
    """Count the chunks that are not there; of very many, some all over the array are looked for.

    Args:
        grid: Chunks along each axis.
        has: Whether one is there, by its place.
        remote: Whether that takes a way over a network.
        what: They are called.
    """
    count, most = math.prod(grid), ON_THE_WEB if remote else CHUNKS_LOOKED_AT
    numbers = np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))
    places = np.stack(np.unravel_index(numbers, grid), axis=1).tolist()
    there = _for_each(has, [tuple(place) for place in places], AT_ONCE if remote else 1)
    looked = f"{what} looked at" if count > len(numbers) else what
    return Gaps.of_count(len(there) - sum(there), len(there), looked)


def _for_each(
    act: Callable[[tuple[int, ...]], _T], places: Sequence[tuple[int, ...]], at_once: int
) -> list[_T]:
    if at_once == 1 or len(places) == 1:
        return [act(place) for place in places]
    with ThreadPoolExecutor(min(at_once, len(places))) as pool:
        return list(pool.map(act, places))
