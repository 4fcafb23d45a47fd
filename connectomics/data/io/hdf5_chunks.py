"""Chunks of an HDF5 dataset, compressed on all CPUs.

HDF5 compresses one chunk after another, on one CPU, and takes longer for it than a GPU takes to
predict what is in them. Here threads compress, and HDF5 writes what they give. The file is of the
same kind: bytes shuffled and deflated, as every HDF5 library reads them.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import product
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from connectomics.process.cpus import available_cpus

LEVEL = 1
"""Of zlib. Higher levels gain 1 to 3 % on probability maps for a third more time."""

Spans = tuple[slice, ...]


class ChunkedDataset:
    """A dataset that is written chunk by chunk where that is possible.

    Args:
        dataset: Shuffled where values have several bytes, deflated, and nothing else.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self.dataset = dataset
        self.chunks: tuple[int, ...] = dataset.chunks or dataset.shape
        self.threads = available_cpus()

    def __setitem__(self, spans: Spans, values: NDArray[Any]) -> None:
        """Write a box; as HDF5 does it where parts of chunks are written, or on one CPU."""
        if self.threads < 2 or not self._whole_chunks(spans):
            self.dataset[spans] = values
            return
        waiting: deque[tuple[tuple[int, ...], Future[bytes]]] = deque()
        with ThreadPoolExecutor(self.threads, "compress") as pool:
            for start, chunk in self._chunks(spans, values):
                if len(waiting) >= 4 * self.threads:
                    self._write_first(waiting)
                waiting.append((start, pool.submit(self._compressed, chunk)))
            while waiting:
                self._write_first(waiting)

    def _write_first(self, waiting: deque[tuple[tuple[int, ...], Future[bytes]]]) -> None:
        start, compressed = waiting.popleft()
        self.dataset.id.write_direct_chunk(start, compressed.result())

    def _whole_chunks(self, spans: Spans) -> bool:
        return all(
            span.start % size == 0 and (span.stop % size == 0 or span.stop == length)
            for span, length, size in zip(spans, self.dataset.shape, self.chunks, strict=True)
        )

    def _chunks(
        self, spans: Spans, values: NDArray[Any]
    ) -> Iterator[tuple[tuple[int, ...], NDArray[Any]]]:
        """Where each chunk starts, and what of the values lies in it."""
        starts = (range(s.start, s.stop, n) for s, n in zip(spans, self.chunks, strict=True))
        for start in product(*starts):
            inside = zip(start, spans, self.chunks, strict=True)
            yield start, values[tuple(slice(a - s.start, a - s.start + n) for a, s, n in inside)]

    def _compressed(self, part: NDArray[Any]) -> bytes:
        dtype, size = self.dataset.dtype, self.chunks
        if part.shape == size:
            chunk = np.ascontiguousarray(part, dtype)
        else:  # chunks that reach beyond the volume are stored whole
            chunk = np.zeros(size, dtype)
            chunk[tuple(map(slice, part.shape))] = part
        if dtype.itemsize > 1:  # first bytes of all values first, as HDF5's shuffle does
            chunk = np.ascontiguousarray(
                chunk.reshape(-1).view(np.uint8).reshape(-1, dtype.itemsize).T
            )
        return zlib.compress(chunk.data, LEVEL)
