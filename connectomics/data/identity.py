"""Which volume a result was made from: its voxels, whatever file holds them."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from connectomics.data.io import LazyVolume
from connectomics.data.io.hdf5 import open_file
from connectomics.data.io.location import (
    N5_MARKER,
    PRECOMPUTED_MARKER,
    ZARR_MARKERS,
    format_of,
    has_wildcards,
    parse_location,
)
from connectomics.data.io.objects import WebObjects
from connectomics.data.io.sections import find_sections
from connectomics.digests import code_digest, digest
from connectomics.errors import DataError
from connectomics.geometry import Box, Triple, block_boxes, block_shape, whole
from connectomics.mapping import Part, map_blocks

SLAB_BYTES = 64 * 2**20
READ_BYTES = 8 * 2**20
"""Of a slab, so many are read at a time: Zarr takes several times as much while it reads."""
TILE = 1024
"""Voxels along y and x of what is summed up by itself."""
SPOKEN_OF_BYTES = 2**30
"""From this size on it is said that a volume is read to be recognised."""

METADATA = (*ZARR_MARKERS, ".zattrs", ".zmetadata", N5_MARKER, PRECOMPUTED_MARKER)


@dataclass(frozen=True)
class Identity:
    """What tells a volume, or a part of one, from every other.

    Two volumes are the same where `content` is. The rest says where it was found, and saves
    reading it again while its files are as they were.

    Attributes:
        source: As the user wrote it, for messages.
        path: The file or folder, absolute and without links.
        dataset: The array inside; empty where there are none.
        origin: Voxel (z, y, x) of the stored array at which the part begins.
        shape: Its size in voxels.
        dtype: Of its voxels.
        files: Sum of names, sizes and times of its files; empty where these do not tell.
        content: Sum of its voxels.
    """

    source: str
    path: str
    dataset: str
    origin: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: str
    files: str
    content: str

    @property
    def place(self) -> tuple[Any, ...]:
        """Which part of which array in which file it is, whatever that holds."""
        return self.path, self.dataset, self.origin, self.shape

    def as_dict(self) -> dict[str, Any]:
        """Plain values, to be stored with a result."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Any) -> Self | None:
        """Undo `as_dict`; None for anything else."""
        try:
            sizes = {key: tuple(map(int, stored[key])) for key in ("origin", "shape")}
            return cls(**{**stored, **sizes})
        except (TypeError, KeyError, ValueError):
            return None

    def describe(self) -> str:
        """Name it, with the part that it is.

        >>> Identity("A/raw.h5", "/A/raw.h5", "main", (3, 0, 0), (5, 8, 9), "u1", "", "").describe()
        'A/raw.h5 [3:8, 0:8, 0:9]'
        """
        return f"{self.source} {whole(self.shape).shift(self.origin)}"

    def difference(self, asked: Identity) -> str:
        """Say of what this is the result, where another volume is asked for."""
        if (self.path, self.dataset) != (asked.path, asked.dataset):
            return f"another volume, {self.path}"
        if (self.origin, self.shape) != (asked.origin, asked.shape):
            return f"another part, {self.describe()}"
        return f"{self.source} as it was before; the file has changed since"


def identify(volume: LazyVolume, known: Identity | None = None) -> Identity:
    """Tell which volume this is.

    Args:
        volume: On disk, or a part of it.
        known: What a result says it was made from: where the files of the volume are still
            those, it need not be read.

    Raises:
        DataError: The volume cannot be read.
    """
    now = located(volume)
    if known and now.files and replace(known, source="", content="") == replace(now, source=""):
        return replace(now, content=known.content)
    if not now.files:
        return replace(now, content=_content(volume, now.files))
    if now not in _READ:
        _READ[now] = _content(volume, now.files)
    return replace(now, content=_READ[now])


def located(volume: LazyVolume) -> Identity:
    """Tell where a volume lies and how its files are; it is not read, and `content` is empty."""
    return Identity(
        source=volume.source,
        path=str(canonical(volume.source)),
        dataset=volume.dataset.strip("/"),
        origin=volume.origin,
        shape=volume.shape,
        dtype=volume.dtype.name,
        files=_files_digest(volume),
        content="",
    )


class UnreadError(Exception):
    """A volume would have to be read to be recognised."""


_may_read: ContextVar[bool] = ContextVar("may_read", default=True)


@contextmanager
def without_reading() -> Iterator[None]:
    """Within it, a volume that has to be read to be recognised is an `UnreadError`."""
    token = _may_read.set(False)
    try:
        yield
    finally:
        _may_read.reset(token)


_READ: dict[Identity, str] = {}
"""The contents of what this program has read."""


def canonical(source: str) -> Path:
    """The file or folder of a volume, absolute and without links; a web address as it is."""
    location = parse_location(source)
    return location.path if location.url else location.path.resolve()


def _content(volume: LazyVolume, files: str) -> str:
    """Sum up shape, type and every voxel, whatever the chunks are.

    Each column of the volume, a tile wide and from the first section to the last, has a sum of
    its own, so that no more of a wide volume is in memory than a few tiles or chunks.
    """
    if not _may_read.get():
        raise UnreadError(volume.source)
    shape, tile = volume.shape[-3:], (1, TILE, TILE)
    if _bytes_of_voxel(volume) * math.prod(shape) >= SPOKEN_OF_BYTES:
        print(f"  reading {volume.source}, to know it by its voxels", flush=True)
    boxes = [whole(shape)]
    if volume.chunks and files:  # otherwise a file may have to be read for each column
        boxes = block_boxes(shape, (shape[0], *_unit(volume)[1:]))
    parts = map_blocks(partial(_column_sums, files, volume), boxes, "voxels read")
    columns: dict[tuple[int, ...], str] = {}
    for box, part in zip(boxes, parts, strict=True):
        starts = [one.shift(box.start).start[1:] for one in block_boxes((1, *box.shape[1:]), tile)]
        columns |= dict(zip(starts, part["sums"].astype(str).tolist(), strict=True))
    sums = [columns[one.start[1:]] for one in block_boxes((1, *shape[1:]), tile)]
    of_all = sums[0] if len(sums) == 1 else hashlib.sha256("".join(sums).encode()).hexdigest()
    return of_all[:32]


def _unit(volume: LazyVolume) -> Triple:
    """What is read together: whole chunks, and whole tiles."""
    thickness, height, width = volume.chunks or (1, 1, 1)
    return thickness, -(-height // TILE) * TILE, -(-width // TILE) * TILE


def _column_sums(files: str, volume: LazyVolume, box: Box) -> Part:
    """The sum of each column in a box from the first section to the last.

    `files` is there for whoever keeps the sums: they hold while the files are as they were.
    """
    voxel = _bytes_of_voxel(volume)
    head, tile = f"{volume.shape} {volume.dtype.name}".encode(), (1, TILE, TILE)
    columns = {one.start: hashlib.sha256(head) for one in block_boxes((1, *box.shape[1:]), tile)}
    slab = block_shape(box.shape, _unit(volume), SLAB_BYTES // voxel)
    for inner in block_boxes(box.shape, slab):
        block = _read_in_parts(volume, inner.shift(box.start), READ_BYTES // voxel)
        for z in range(block.shape[-3]):
            section = block[..., z, :, :]
            for part in block_boxes((1, *section.shape[-2:]), tile):
                _, y, x = part.start
                column = columns[0, inner.start[1] + y, inner.start[2] + x]
                column.update(np.ascontiguousarray(section[(..., *part.slices[1:])]).data)
        del block, section  # before the next is read
    return {"sums": np.array([column.hexdigest().encode() for column in columns.values()])}


def _bytes_of_voxel(volume: LazyVolume) -> int:
    return volume.dtype.itemsize * (volume.shape[0] if len(volume.shape) > 3 else 1)


def _read_in_parts(volume: LazyVolume, box: Box, voxels: int) -> np.ndarray:
    """Read a box, so many voxels at a time, as what it takes to read them goes again."""
    values = np.empty((*volume.shape[:-3], *box.shape), volume.dtype)
    for part in block_boxes(box.shape, block_shape(box.shape, volume.chunks or (1, 1, 1), voxels)):
        values[(..., *part.slices)] = _read(volume, part.shift(box.start))
    return values


def _read(volume: LazyVolume, box: Box) -> np.ndarray:
    """Read a box; where that fails, say which chunk of it cannot be read."""
    try:
        return volume.read(box)
    except DataError:
        if not volume.remote and volume.chunks:
            for chunk in block_boxes(box.shape, volume.chunks):
                volume.read(chunk.shift(box.start))
        raise


def _files_digest(volume: LazyVolume) -> str:
    """Sum up what the file system says of the files of a volume, and who reads them.

    Times of change cannot be set by hand, so that an older file in place of a newer one shows.
    Object stores have a tag for each object instead.
    """
    location = parse_location(volume.source)
    if location.url:
        listed = WebObjects(location.url, location.source).states()
        return digest(listed, code_digest("data/io")) if listed else ""
    files = list(_files(volume))
    if not files:
        return ""
    states = [(file, file.stat()) for file in files]
    facts = [(str(f), s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for f, s in states]
    return digest(facts, code_digest("data/io"))


def _files(volume: LazyVolume) -> Iterator[Path]:
    """The files that hold a volume; none where they are not known for sure."""
    location = parse_location(volume.source)
    path = location.path.resolve()
    if has_wildcards(location.path):
        path = location.path.parent.resolve() / location.path.name
    match format_of(location):
        case "sections":
            yield from find_sections(replace(location, path=path))
        case "zarr" | "n5" | "precomputed":
            yield from _store_files(path, path / volume.dataset)
        case "hdf5":
            with open_file(location.path, location.source) as file:
                dataset = file[volume.dataset]
                elsewhere = dataset.is_virtual or dataset.external  # pyright: ignore
            if not elsewhere:
                yield path
        case _:
            yield path


def _store_files(store: Path, array: Path) -> Iterator[Path]:
    """Chunks or shards of an array at any depth, and the metadata of what it lies in."""
    for folder in (array, *array.parents):
        yield from (file for name in METADATA if (file := folder / name).is_file())
        if folder == store:
            break
    for folder, folders, names in os.walk(array):
        folders.sort()
        yield from (Path(folder, name) for name in sorted(names) if name not in METADATA)
