"""Many small objects in few files: Neuroglancer's `neuroglancer_uint64_sharded_v1`.

A shard begins with an index of its minishards, each of which is an index of objects by number.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TYPE = "neuroglancer_uint64_sharded_v1"
MASK_32, MASK_64 = 2**32 - 1, 2**64 - 1

Fetch = Callable[[str, int, int], bytes | None]
"""Part of a file, by its name, first byte and last byte + 1."""

Minishard = dict[int, tuple[int, int]]
"""First byte and last byte + 1 in the shard's file, of each object by number."""


@dataclass(frozen=True)
class Sharding:
    """How numbers are spread over shards and minishards.

    Attributes:
        preshift_bits: Lowest bits of a number that neighbours in a minishard differ in.
        hash: "identity" or "murmurhash3_x86_128".
        minishard_bits: Minishards of a shard, as a power of two.
        shard_bits: Shards, as a power of two.
        gzipped_index: Whether the indices of minishards are compressed.
        gzipped_data: Whether objects are.
    """

    preshift_bits: int
    hash: str
    minishard_bits: int
    shard_bits: int
    gzipped_index: bool
    gzipped_data: bool

    @classmethod
    def of(cls, stated: Mapping[str, Any]) -> Sharding:
        """What the `sharding` of an `info` file says.

        Raises:
            ValueError, KeyError: It says something that is not known here.
        """
        if stated["@type"] != TYPE:
            raise ValueError(f"shards of type {stated['@type']!r}")
        encodings = [stated.get(f"{of}_encoding", "raw") for of in ("minishard_index", "data")]
        if stated["hash"] not in HASHES or not {*encodings} <= {"raw", "gzip"}:
            raise ValueError(f"hash {stated['hash']!r}, encodings {encodings}")
        bits = [int(stated[f"{of}_bits"]) for of in ("preshift", "minishard", "shard")]
        if min(bits) < 0 or bits[1] > 32 or sum(bits[1:]) > 64:
            raise ValueError(f"bits {bits}")
        return cls(bits[0], stated["hash"], bits[1], bits[2], *(e == "gzip" for e in encodings))

    def describe(self) -> dict[str, Any]:
        """Undo `of`."""
        return {
            "@type": TYPE,
            "preshift_bits": self.preshift_bits,
            "hash": self.hash,
            "minishard_bits": self.minishard_bits,
            "shard_bits": self.shard_bits,
            "minishard_index_encoding": "gzip" if self.gzipped_index else "raw",
            "data_encoding": "gzip" if self.gzipped_data else "raw",
        }

    def place(self, number: int) -> tuple[int, int]:
        """The shard and the minishard of an object."""
        hashed = HASHES[self.hash](number >> self.preshift_bits)
        minishard = hashed & (2**self.minishard_bits - 1)
        return (hashed >> self.minishard_bits) & (2**self.shard_bits - 1), minishard

    def file_name(self, shard: int) -> str:
        """The file of a shard.

        >>> Sharding(0, "identity", 2, 9, True, True).file_name(26)
        '01a.shard'
        """
        return f"{shard:0{-(-self.shard_bits // 4)}x}.shard"

    def minishard(self, fetch: Fetch, shard: int, minishard: int) -> Minishard:
        """Read the index of a minishard; empty where it holds nothing.

        Raises:
            ValueError: It is damaged.
        """
        name, header = self.file_name(shard), 16 << self.minishard_bits
        raw = fetch(name, 16 * minishard, 16 * minishard + 16)
        if raw is None:
            return {}
        start, stop = (int(n) for n in np.frombuffer(raw, "<u8"))
        if start == stop:
            return {}
        index = fetch(name, header + start, header + stop) or b""
        index = gzip.decompress(index) if self.gzipped_index else index
        numbers, gaps, sizes = np.frombuffer(index, "<u8").reshape(3, -1)
        stops = np.cumsum(gaps + sizes, dtype=np.uint64) + np.uint64(header)
        found = zip(np.cumsum(numbers, dtype=np.uint64), stops - sizes, stops, strict=True)
        return {int(number): (int(a), int(b)) for number, a, b in found}

    def unpack(self, raw: bytes) -> bytes:
        """The bytes of an object, as they were before they were stored."""
        return gzip.decompress(raw) if self.gzipped_data else raw


def write_one_shard(objects: Iterable[tuple[int, bytes]]) -> tuple[Sharding, bytes]:
    """Put objects in one shard.

    Args:
        objects: Number and content of each.

    Returns:
        How they are spread, and the bytes of the shard.
    """
    ordered = sorted(objects)
    # Some hundred objects in a minishard: its index is what a viewer reads to find one of them.
    bits = max(0, (len(ordered) // 256).bit_length())
    sharding = Sharding(0, "murmurhash3_x86_128", bits, 0, True, True)
    groups: list[list[tuple[int, bytes]]] = [[] for _ in range(2**bits)]
    for number, content in ordered:
        groups[sharding.place(number)[1]].append((number, gzip.compress(content, 6, mtime=0)))
    data, ranges, at = [], [], 0
    for group in groups:
        first = at
        data += [content for _, content in group]
        at += sum(len(content) for _, content in group)
        index = gzip.compress(_index(group, first), 6, mtime=0) if group else b""
        data.append(index)
        ranges.append((at, at + len(index)))
        at += len(index)
    return sharding, np.array(ranges, "<u8").tobytes() + b"".join(data)


def _index(group: list[tuple[int, bytes]], first: int) -> bytes:
    numbers = np.array([number for number, _ in group], np.uint64)
    rows = np.zeros((3, len(group)), "<u8")
    rows[0] = np.diff(numbers, prepend=np.uint64(0))
    rows[1, 0] = first  # each other object follows the one before it
    rows[2] = [len(content) for _, content in group]
    return rows.tobytes()


def morton(place: NDArray[np.int64] | tuple[int, ...], grid: tuple[int, ...]) -> int:
    """The number of a cell: the bits of its indices (x, y, z), as many as the grid needs.

    >>> morton((1, 0, 0), (2, 2, 2)), morton((0, 1, 3), (1, 2, 4))
    (1, 7)
    """
    bits = [(n - 1).bit_length() for n in grid]
    number = at = 0
    for bit in range(max(bits, default=0)):
        for axis, index in enumerate(place):
            if bit < bits[axis]:
                number |= ((int(index) >> bit) & 1) << at
                at += 1
    return number


def _murmur(number: int) -> int:
    """The lower half of MurmurHash3_x86_128 of eight bytes, seed 0."""

    def mixed(k: int, first: int, turn: int, second: int) -> int:
        k = k * first & MASK_32
        return ((k << turn | k >> (32 - turn)) & MASK_32) * second & MASK_32

    def final(h: int) -> int:
        h = (h ^ h >> 16) * 0x85EBCA6B & MASK_32
        h = (h ^ h >> 13) * 0xC2B2AE35 & MASK_32
        return h ^ h >> 16

    h1 = mixed(number & MASK_32, 0x239B961B, 15, 0xAB0E9789) ^ 8
    h2 = mixed(number >> 32 & MASK_32, 0xAB0E9789, 16, 0x38B34AE5) ^ 8
    h3 = h4 = 8
    h1 = h1 + h2 + h3 + h4 & MASK_32
    h2, h3, h4 = (h + h1 & MASK_32 for h in (h2, h3, h4))
    h1, h2, h3, h4 = (final(h) for h in (h1, h2, h3, h4))
    h1 = h1 + h2 + h3 + h4 & MASK_32
    h2 = h2 + h1 & MASK_32
    return h1 | h2 << 32


HASHES: dict[str, Callable[[int], int]] = {
    "identity": lambda number: number & MASK_64,
    "murmurhash3_x86_128": _murmur,
}
