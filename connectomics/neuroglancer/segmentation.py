"""Neuroglancer's `compressed_segmentation`: small blocks, each with a table of its few labels.

https://github.com/google/neuroglancer/tree/master/src/sliceview/compressed_segmentation
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomics.geometry import Triple

BLOCK: Triple = (8, 8, 8)
WIDTHS = (0, 1, 2, 4, 8, 16, 32)


def encode(labels: NDArray[Any], block: Triple = BLOCK) -> bytes:
    """Compress a chunk of one channel.

    Args:
        labels: (z, y, x) uint32 or uint64.
        block: (z, y, x) voxels of a block.
    """
    blocks, words = _blocks(labels, block), labels.dtype.itemsize // 4
    headers = np.zeros((len(blocks), 2), "<u4")
    parts, tables = [], {}
    at = headers.size
    for i, values in enumerate(blocks):
        table, numbers = _table(values)
        width = WIDTHS[np.searchsorted(WIDTHS, (len(table) - 1).bit_length())]
        packed = _pack(numbers, width)
        parts.append(packed)
        headers[i] = width << 24, at
        at += len(packed) // 4
        key = table.tobytes()
        if key not in tables:
            tables[key] = at
            parts.append(key)
            at += len(table) * words
        if tables[key] >= 2**24:
            raise ValueError("a chunk is too large for its tables: make it smaller")
        headers[i, 0] |= tables[key]
    return np.array([1], "<u4").tobytes() + headers.tobytes() + b"".join(parts)


def _table(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    if (values == values[0]).all():  # most blocks are background
        return values[:1], np.zeros(len(values), np.intp)
    return np.unique(values, return_inverse=True)


def _blocks(labels: NDArray[Any], block: Triple) -> NDArray[Any]:
    """(blocks, voxels), both with x fastest; what lies beyond the chunk repeats its border."""
    grid = [-(-n // size) for n, size in zip(labels.shape, block, strict=True)]
    missing = [
        (0, size * count - n) for n, size, count in zip(labels.shape, block, grid, strict=True)
    ]
    padded = np.pad(labels.astype(labels.dtype.newbyteorder("<")), missing, "edge")
    split = padded.reshape([n for pair in zip(grid, block, strict=True) for n in pair])
    return split.transpose(0, 2, 4, 1, 3, 5).reshape(-1, int(np.prod(block)))


def _pack(numbers: NDArray[np.intp], width: int) -> bytes:
    if not width:
        return b""
    each = 32 // width
    padded = np.zeros(-(-len(numbers) // each) * each, np.uint32)
    padded[: len(numbers)] = numbers
    shifts = np.arange(each, dtype=np.uint32) * np.uint32(width)
    packed = np.bitwise_or.reduce(padded.reshape(-1, each) << shifts, axis=1)
    return packed.astype("<u4").tobytes()


def decode(raw: bytes, shape: Sequence[int], dtype: np.dtype[Any], block: Triple) -> NDArray[Any]:
    """Undo `encode`, for any number of channels.

    Args:
        raw: The chunk.
        shape: (C, z, y, x) of it.
        dtype: uint32 or uint64.
        block: (z, y, x) voxels of a block.

    Raises:
        ValueError, IndexError: It is damaged.
    """
    words = np.frombuffer(raw[: len(raw) // 4 * 4], "<u4")
    starts = [int(start) for start in words[: shape[0]]]
    return np.stack([_decode(words[start:], shape[1:], dtype, block) for start in starts])


def _decode(
    words: NDArray[np.uint32], shape: Sequence[int], dtype: np.dtype[Any], block: Triple
) -> NDArray[Any]:
    grid = [-(-n // size) for n, size in zip(shape, block, strict=True)]
    count, size = int(np.prod(grid)), int(np.prod(block))
    headers = words[: 2 * count].reshape(count, 2)
    widths, tables = headers[:, 0] >> 24, headers[:, 0] & 0xFFFFFF
    numbers = np.zeros((count, size), np.int64)
    for i in np.flatnonzero(widths):
        numbers[i] = _unpack(words[headers[i, 1] :], int(widths[i]), size)
    step = dtype.itemsize // 4
    places = tables[:, None].astype(np.int64) + numbers * step
    values = words[places].astype(dtype)
    if step == 2:
        values |= words[places + 1].astype(dtype) << dtype.type(32)
    split = values.reshape(*grid, *block).transpose(0, 3, 1, 4, 2, 5)
    whole = split.reshape([n * b for n, b in zip(grid, block, strict=True)])
    return whole[tuple(slice(0, n) for n in shape)]


def _unpack(words: NDArray[np.uint32], width: int, size: int) -> NDArray[np.uint32]:
    if width not in WIDTHS:
        raise ValueError(f"a block of {width} bits per voxel")
    each = 32 // width
    packed = words[: -(-size // each), None]
    shifts = np.arange(each, dtype=np.uint32) * np.uint32(width)
    mask = np.uint32(2**width - 1) if width < 32 else np.uint32(2**32 - 1)
    return (packed >> shifts & mask).reshape(-1)[:size]
