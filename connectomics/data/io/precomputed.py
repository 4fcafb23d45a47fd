"""Reading Neuroglancer's precomputed volumes, on a disk or on the web.

Everything in their `info` file is listed as x, y, z; the bytes of a chunk are those of a
(channel, z, y, x) array. https://neuroglancer-docs.web.app/datasource/precomputed/volume.html
"""

from __future__ import annotations

import gzip
import json
import math
import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomics.data.io.axes import ordered
from connectomics.data.io.chunked import ChunkedArray
from connectomics.data.io.header import ArrayLike, Header, Opener, check_array
from connectomics.data.io.location import PRECOMPUTED_MARKER, Location
from connectomics.data.io.objects import Objects, Reaching, objects_of
from connectomics.data.io.spacing import three_numbers, voxel_size
from connectomics.errors import DataError, did_you_mean
from connectomics.neuroglancer import segmentation
from connectomics.neuroglancer.sharding import Minishard, Sharding, morton

INDICES_KEPT = 256
GZIP_MAGIC = b"\x1f\x8b"
DTYPES = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "float32")


@dataclass(frozen=True)
class Level:
    """One scale of a volume; everything as (z, y, x).

    Attributes:
        key: Its folder.
        shape: In voxels.
        chunk: Voxels of a chunk.
        first: Voxel at which it begins.
        resolution: nm per voxel.
        channels: How many.
        dtype: Of the voxels.
        encoding: Of the chunks.
        block: Of `compressed_segmentation`.
        sharding: None where each chunk is a file.
    """

    key: str
    shape: tuple[int, int, int]
    chunk: tuple[int, int, int]
    first: tuple[int, int, int]
    resolution: tuple[float, float, float]
    channels: int
    dtype: np.dtype[Any]
    encoding: str
    block: tuple[int, int, int] = segmentation.BLOCK
    sharding: Sharding | None = None

    @property
    def grid(self) -> tuple[int, ...]:
        """Chunks along z, y, x."""
        return tuple(-(-n // size) for n, size in zip(self.shape, self.chunk, strict=True))

    def chunk_shape(self, place: tuple[int, ...]) -> tuple[int, ...]:
        """(C, z, y, x) of a chunk, which the end of the volume may cut."""
        axes = zip(self.shape, self.chunk, place, strict=True)
        return (self.channels, *(min(size, n - i * size) for n, size, i in axes))

    def file_name(self, place: tuple[int, ...]) -> str:
        """The file of a chunk: the voxels it reaches from and to, along x, y and z."""
        _, *shape = self.chunk_shape(place)
        starts = [f + i * c for f, i, c in zip(self.first, place, self.chunk, strict=True)]
        parts = [f"{start}-{start + n}" for start, n in zip(starts, shape, strict=True)]
        return "_".join(reversed(parts))


@dataclass
class Files:
    """The chunks of a level, by their place (channel, z, y, x)."""

    objects: Objects
    level: Level
    _indices: dict[tuple[int, int], Minishard] = field(default_factory=dict)

    def read(self, place: tuple[int, ...]) -> NDArray[Any] | None:
        """See `Chunks`."""
        raw = self._raw(place[1:])
        if raw is None:
            return None
        return decode_chunk(raw, self.level, self.level.chunk_shape(place[1:]))

    def has(self, place: tuple[int, ...]) -> bool:
        """See `Chunks`."""
        if self.level.sharding:
            return self._found(place[1:], self.level.sharding) is not None
        path = self._path(self.level.file_name(place[1:]))
        return self.objects.has(path) or self.objects.has(f"{path}.gz")

    def _raw(self, place: tuple[int, ...]) -> bytes | None:
        sharding = self.level.sharding
        if sharding is None:
            path = self._path(self.level.file_name(place))
            raw = self.objects.get(path)
            # CloudVolume writes compressed chunks under another name where there are no headers.
            raw = self.objects.get(f"{path}.gz") if raw is None else raw
            return None if raw is None else self._unzipped(raw, place)
        found = self._found(place, sharding)
        if found is None:
            return None
        name, start, stop = found
        raw = self.objects.get(self._path(name), start, stop)
        return None if raw is None else sharding.unpack(raw)

    def _unzipped(self, raw: bytes, place: tuple[int, ...]) -> bytes:
        """What a web server would have decompressed; voxels may begin like a compressed file."""
        size = math.prod(self.level.chunk_shape(place)) * self.level.dtype.itemsize
        plain = self.level.encoding == "raw" and len(raw) == size
        return raw if plain or not raw.startswith(GZIP_MAGIC) else gzip.decompress(raw)

    def _found(self, place: tuple[int, ...], sharding: Sharding) -> tuple[str, int, int] | None:
        """File, first and last byte + 1 of a chunk in its shard."""
        number = morton(place[::-1], self.level.grid[::-1])
        shard, minishard = sharding.place(number)
        if (shard, minishard) not in self._indices:
            if len(self._indices) >= INDICES_KEPT:
                self._indices.clear()
            index = sharding.minishard(
                lambda name, a, b: self.objects.get(self._path(name), a, b), shard, minishard
            )
            self._indices[shard, minishard] = index
        found = self._indices[shard, minishard].get(number)
        return found and (sharding.file_name(shard), *found)

    def _path(self, name: str) -> str:
        return f"{self.level.key}/{name}".lstrip("/")


def inspect(location: Location) -> tuple[Header, Opener]:
    """Read the header of a scale: the finest, or the one whose key is named.

    Raises:
        DataError: There is no such scale, or what `info` says makes no sense or is not read here.
    """
    source = location.source
    levels = _levels(location)
    named = {posixpath.normpath(level.key): level for level in levels}
    if location.dataset is None:
        level = min(levels, key=lambda level: math.prod(level.resolution))
    elif location.dataset in named:
        level = named[location.dataset]
    else:
        hint = did_you_mean(location.dataset, named)
        raise DataError(source, f"has no scale {location.dataset!r}.", hint)
    array = _array(location, level)
    channels = (level.channels,) if level.channels > 1 else ()
    shape = (*channels, *level.shape)
    check_array(source, shape, level.dtype)
    offset = [first * size for first, size in zip(level.first, level.resolution, strict=True)]
    lossy = level.encoding == "jpeg"
    header = Header(
        shape,
        level.dtype,
        level.resolution,
        three_numbers(source, "voxel_offset", offset),
        {},
        tuple(min(c, n) for c, n in zip(level.chunk, level.shape, strict=True)),  # pyright: ignore
        posixpath.normpath(level.key),
        loss="JPEG changes values as it compresses them" if lossy else "",
        gaps=array.gaps(),
        placed=True,
    )
    return header, partial(_open_array, location, level)


def _open_array(location: Location, level: Level) -> tuple[ArrayLike, Callable[[], None]]:
    array: Any = _array(location, level)
    array = Reaching(array, location.source) if location.url else array
    return ordered(array, (0, 1, 2, 3)[level.channels == 1 :], 4), _nothing_to_close


def _nothing_to_close() -> None:
    """Chunks are read one by one."""


def _array(location: Location, level: Level) -> ChunkedArray:
    return ChunkedArray(
        (level.channels, *level.shape),
        (level.channels, *level.chunk),
        level.dtype,
        Files(objects_of(location, steady=True), level),
        remote=bool(location.url),
    )


def _levels(location: Location) -> list[Level]:
    raw = objects_of(location).get(PRECOMPUTED_MARKER)
    try:
        info = json.loads(raw or b"")
        levels = [_level(location.source, info, scale) for scale in info["scales"]]
        if not levels:
            raise ValueError("it names no scales")
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(
            location.source,
            f"its info file cannot be understood ({type(error).__name__}: {error}).",
            "It is damaged, or of no precomputed volume that is read here.",
        ) from error
    return levels


def _level(source: str, info: Mapping[str, Any], scale: Mapping[str, Any]) -> Level:
    dtype, encoding = str(info["data_type"]).lower(), str(scale["encoding"]).lower()
    if dtype not in DTYPES:
        raise ValueError(f"voxels of type {dtype!r}")
    if encoding not in DECODERS:
        raise DataError(
            source,
            f"its chunks are encoded as {encoding!r}, which is not read.",
            f"Read are {', '.join(DECODERS)}; store it again with one of them.",
        )
    sizes = {"shape": scale["size"], "chunk": scale["chunk_sizes"][0]}
    sizes["first"] = scale.get("voxel_offset", (0, 0, 0))
    if encoding == "compressed_segmentation":
        sizes["block"] = scale["compressed_segmentation_block_size"]
    triples = {name: tuple(int(n) for n in reversed(value)) for name, value in sizes.items()}
    if any(len(triple) != 3 for triple in triples.values()):
        raise ValueError(f"three numbers are expected: {sizes}")
    if min(n for name, triple in triples.items() if name != "first" for n in triple) < 1:
        raise ValueError(f"sizes are positive: {sizes}")
    x, y, z = voxel_size(source, "resolution", scale["resolution"])
    return Level(
        key=str(scale["key"]),
        resolution=(z, y, x),
        channels=int(info["num_channels"]),
        dtype=np.dtype(dtype),
        encoding=encoding,
        sharding=Sharding.of(scale["sharding"]) if scale.get("sharding") else None,
        **triples,  # pyright: ignore
    )


def decode_chunk(raw: bytes, level: Level, shape: tuple[int, ...]) -> NDArray[Any]:
    """Decode a chunk.

    Raises:
        ValueError: It is damaged, or of another size.
    """
    values = DECODERS[level.encoding](raw, level, shape)
    if values.size != math.prod(shape):
        raise ValueError(f"a chunk of {math.prod(shape)} values holds {values.size}")
    return values.reshape(shape)


def _raw(raw: bytes, level: Level, _: tuple[int, ...]) -> NDArray[Any]:
    return np.frombuffer(raw, level.dtype.newbyteorder("<"))


def _segmentation(raw: bytes, level: Level, shape: tuple[int, ...]) -> NDArray[Any]:
    return segmentation.decode(raw, shape, level.dtype, level.block)


def _picture(raw: bytes, level: Level, shape: tuple[int, ...]) -> NDArray[Any]:
    """One picture of the whole chunk, as wide as its x, or in any other shape."""
    import imagecodecs

    decoder = imagecodecs.jpeg_decode if level.encoding == "jpeg" else imagecodecs.png_decode
    values = np.asarray(decoder(raw))
    channels = values.shape[2] if values.ndim == 3 else 1
    if channels != shape[0]:
        raise ValueError(f"a chunk of {shape[0]} channels is a picture of {channels}")
    return np.moveaxis(values.reshape(-1, channels), 1, 0)


DECODERS: dict[str, Callable[[bytes, Level, tuple[int, ...]], NDArray[Any]]] = {
    "raw": _raw,
    "compressed_segmentation": _segmentation,
    "jpeg": _picture,
    "png": _picture,
}
