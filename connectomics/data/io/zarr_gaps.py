"""How many chunks of a Zarr array are not in its store. Zarr reads the fill value for them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec

from connectomics.data.io.header import Gaps

FILES_LOOKED_AT = 4096

NOT_THERE = 2**64 - 1
"""The offset that a shard's index gives a chunk it does not hold."""

CHECKSUM = 4
"""Bytes of the sum after the index of a shard."""


def find_gaps(store: Path, array: zarr.Array[Any]) -> Gaps | None:
    """Count the chunks that are not there, of versions 2 and 3, inside shards too.

    Args:
        store: The folder.
        array: One of its arrays. Where it has very many files, some all over it are looked at.

    Returns:
        None where none is missing.
    """
    size = array.shards or array.chunks
    grid = [-(-n // s) for n, s in zip(array.shape, size, strict=True)]
    files = math.prod(grid)
    numbers = np.unique(np.linspace(0, files - 1, min(files, FILES_LOOKED_AT)).astype(np.int64))
    missing = chunks = 0
    for place in np.stack(np.unravel_index(numbers, grid), axis=1).tolist():
        file = store / array.path / array.metadata.encode_chunk_key(tuple(place))
        # Chunks of the last shards that lie beyond the array do not count.
        inside = [
            -(-min(s, n - s * i) // c)
            for i, n, s, c in zip(place, array.shape, size, array.chunks, strict=True)
        ]
        chunks += math.prod(inside)
        missing += _empty(file, array, inside) if file.is_file() else math.prod(inside)
    looked = "chunks" + " looked at" * (files > len(numbers))
    return Gaps.of_count(missing, chunks, looked, array.fill_value)


def is_whole(file: Path, array: zarr.Array[Any]) -> bool:
    """Whether a shard that was written at once is as long as its index says."""
    if not file.is_file():
        return False
    index = _index(file, array)
    if index is None:
        return False
    parts = index[..., 1][index[..., 0] != NOT_THERE]
    return int(parts.sum()) + index.nbytes + CHECKSUM == file.stat().st_size


def _empty(file: Path, array: zarr.Array[Any], inside: list[int]) -> int:
    """How many chunks a shard does not hold; 0 where its index is in another form than usual."""
    index = _index(file, array)
    if index is None:
        return 0
    return int(np.count_nonzero(index[..., 0][tuple(map(slice, inside))] == NOT_THERE))


def _index(file: Path, array: zarr.Array[Any]) -> NDArray[np.uint64] | None:
    """Offsets and lengths of the chunks in a shard; None where they are in no usual form."""
    codec = next(iter(getattr(array.metadata, "codecs", ())), None)
    if array.shards is None or not isinstance(codec, ShardingCodec):
        return None
    plain, *checksum = tuple(codec.index_codecs)
    if not isinstance(plain, BytesCodec) or not all(isinstance(c, Crc32cCodec) for c in checksum):
        return None
    counts = [s // c for s, c in zip(array.shards, array.chunks, strict=True)]
    length, at_end = 16 * math.prod(counts), codec.index_location.value == "end"
    before = file.stat().st_size - length - CHECKSUM * len(checksum) if at_end else 0
    with file.open("rb") as opened:
        opened.seek(max(0, before))
        index = opened.read(length)
    return None if len(index) < length else np.frombuffer(index, "<u8").reshape(*counts, 2)
