"""The blocks of N5: a header of big-endian numbers, then the voxels, compressed."""

from __future__ import annotations

import bz2
import gzip
import lzma
import math
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numcodecs import blosc, lz4, zstd  # pyright: ignore[reportAttributeAccessIssue]
from numpy.typing import NDArray

# The frames that Java's LZ4BlockOutputStream writes.
LZ4_FRAME = struct.Struct("<8sBiiI")
LZ4_MAGIC = b"LZ4Block"
LZ4_STORED = 0x10


def compression_of(stored: Mapping[str, Any]) -> dict[str, Any]:
    """What the attributes of an array say of its compression; old stores give a name alone.

    >>> compression_of({"compressionType": "gzip"}), compression_of({})
    ({'type': 'gzip'}, {'type': 'raw'})
    """
    given = stored.get("compression") or {"type": stored.get("compressionType") or "raw"}
    return {**given, "type": str(given["type"]).lower()}


def decode_block(
    raw: bytes, dtype: np.dtype[Any], compression: Mapping[str, Any], ndim: int
) -> NDArray[Any]:
    """Decode a block.

    Args:
        raw: The file of it.
        dtype: Of the voxels.
        compression: With "type".
        ndim: Number of axes of the array.

    Returns:
        Its voxels, the axes in the order of an array; at the end of the volume perhaps fewer than
        elsewhere.

    Raises:
        ValueError: It is damaged, or no block of numbers.
    """
    mode, axes = struct.unpack_from(">HH", raw)
    if mode > 1 or axes != ndim:
        raise ValueError(f"a block of mode {mode} with {axes} axes is none of this array")
    shape = struct.unpack_from(f">{axes}I", raw, 4)
    start = 4 + 4 * axes + 4 * mode  # in mode 1 the number of its elements follows
    values = np.frombuffer(
        COMPRESSIONS[compression["type"]](raw[start:], compression), dtype.newbyteorder(">")
    )
    count = math.prod(shape)
    if values.size < count:
        raise ValueError(f"a block of {count} voxels holds {values.size}")
    return values[:count].reshape(shape[::-1])


def _gzip(raw: bytes, compression: Mapping[str, Any]) -> bytes:
    return zlib.decompress(raw) if compression.get("useZlib") else gzip.decompress(raw)


def _lz4(raw: bytes, _: Mapping[str, Any]) -> bytes:
    """Frames of LZ4, each a magic, how it is stored, two lengths and a checksum."""
    parts, at = [], 0
    while at < len(raw):
        magic, token, packed, unpacked, _ = LZ4_FRAME.unpack_from(raw, at)
        at += LZ4_FRAME.size
        if magic != LZ4_MAGIC or packed < 0 or unpacked < 0:
            raise ValueError("a block that says it is LZ4 is none")
        if not unpacked:
            break
        part = raw[at : at + packed]
        stored = token & 0xF0 == LZ4_STORED
        parts.append(part if stored else lz4.decompress(struct.pack("<i", unpacked) + part))
        at += packed
    return b"".join(parts)


COMPRESSIONS: dict[str, Callable[[bytes, Mapping[str, Any]], bytes]] = {
    "raw": lambda raw, _: raw,
    "gzip": _gzip,
    "zlib": lambda raw, _: zlib.decompress(raw),
    "bzip2": lambda raw, _: bz2.decompress(raw),
    "lz4": _lz4,
    "xz": lambda raw, _: lzma.decompress(raw),
    "blosc": lambda raw, _: blosc.decompress(raw),
    "zstd": lambda raw, _: zstd.decompress(raw),
}
