"""Volumes that several processes write at once: one block, one shard, one file of a Zarr store.

Whoever writes a block also writes its part of each coarser level, which is one file as well.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
from numpy.typing import DTypeLike, NDArray

from connectomics.data.io.location import split_source
from connectomics.data.io.pyramid import ONE_LEVEL, Pyramid
from connectomics.data.io.save import DEFAULT_CHUNKS, header_of
from connectomics.data.io.volume import open_volume
from connectomics.errors import DataError
from connectomics.geometry import NOWHERE, Box, Triple, VoxelGrid

if TYPE_CHECKING:
    import zarr  # elsewhere inside functions: most runs write no such store

LEFT_BY_ZARR = "*.partial"
"""What a killed process leaves of a file that it was writing."""


@dataclass(frozen=True)
class ShardedStore:
    """A Zarr v3 store that is written block by block; made by `create_sharded`.

    It can be pickled, and each process opens the store for itself. Two blocks never share a file,
    and each file is whole or not there.

    Attributes:
        path: The store.
        shape: (Z, Y, X) or (C, Z, Y, X).
        block: (z, y, x) voxels of a block; all channels of it are one shard.
        pyramid: The coarser levels.
    """

    path: Path
    shape: tuple[int, ...]
    block: Triple
    pyramid: Pyramid = ONE_LEVEL
    _opened: dict[tuple[int, int], zarr.Array[Any]] = field(
        default_factory=dict, compare=False, repr=False
    )

    def write(self, box: Box, values: NDArray[Any]) -> Path:
        """Write one block, all channels of it, and its part of each coarser level.

        Args:
            box: Exactly a block of the grid; anything else would have two writers share a file.
            values: (z, y, x) or (C, z, y, x) of the box's shape and of the store's dtype.

        Returns:
            The file of the finest level; all are on disk.

        Raises:
            ValueError: The box is not a block, or the values are of another shape or dtype.
            OSError: The disk is full.
        """
        dtype = self._level(0).dtype
        expected = (*self.shape[:-3], *box.shape)
        if not self.is_block(box):
            raise ValueError(f"{box} is not a block of {self.block} in {self.shape[-3:]}")
        if values.shape != expected or values.dtype != dtype:
            raise ValueError(
                f"{values.dtype} of {values.shape} cannot be written as {dtype} of {expected}"
            )
        self.write_coarser(box, values)
        return self._write(0, box, values)

    def write_coarser(self, box: Box, values: NDArray[Any]) -> None:
        """Write the part of each coarser level that follows from a block."""
        if not self.coarser:
            return
        from connectomics.data.io.downsampling import downsample

        for level, part in enumerate(downsample(values, self.pyramid), 1):
            self._write(level, box, part)

    def _write(self, level: int, box: Box, values: NDArray[Any]) -> Path:
        file = self.file_of(box, level)
        file.unlink(missing_ok=True)  # Zarr reads what is there, which may be damaged
        factors = ((1, 1, 1), *self.pyramid.factors)[level]
        starts = [a // f for a, f in zip(box.start, factors, strict=True)]
        part = (slice(a, a + n) for a, n in zip(starts, values.shape[-3:], strict=True))
        self._level(level)[(..., *part)] = np.ascontiguousarray(values)
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return file

    def is_block(self, box: Box) -> bool:
        """Whether a box is exactly one of the blocks."""
        axes = zip(box.start, box.stop, self.block, self.shape[-3:], strict=True)
        return all(a % b == 0 and 0 <= a < n and stop == min(a + b, n) for a, stop, b, n in axes)

    @property
    def coarser(self) -> range:
        """The numbers of the coarser levels."""
        return range(1, len(self.pyramid.factors) + 1)

    def file_of(self, box: Box, level: int = 0) -> Path:
        """The file of a block, or of its part of a coarser level."""
        place = (a // b for a, b in zip(box.start, self.block, strict=True))
        key = (*(0,) * (len(self.shape) - 3), *place)  # of one place in all levels
        return self.path / str(level) / self._level(0).metadata.encode_chunk_key(key)

    def is_whole(self, box: Box, level: int = 0) -> bool:
        """Whether the file of a block is there and as long as its index says."""
        from connectomics.data.io.zarr_gaps import is_whole

        array = self._found(level)
        return array is not None and is_whole(self.file_of(box, level), array)

    def coarser_bytes(self, box: Box) -> list[int]:
        """How long the files of its coarser levels are; -1 for one that is not there."""
        files = (self.file_of(box, level) for level in self.coarser)
        return [file.stat().st_size if file.is_file() else -1 for file in files]

    def restore_levels(self) -> None:
        """Make anew, empty, each coarser level whose metadata is lost or damaged."""
        from connectomics.data.io.zarr_write import create_level

        for level in self.coarser:
            if self._found(level) is None:
                dtype = self._level(0).dtype
                create_level(
                    self.path, level, self.shape, dtype, self.block, self.pyramid, DEFAULT_CHUNKS
                )

    def finish(self) -> None:
        """Remove what killed processes have left."""
        for left in self.path.rglob(LEFT_BY_ZARR):
            left.unlink(missing_ok=True)

    def _level(self, level: int) -> zarr.Array[Any]:
        import zarr

        place = os.getpid(), level
        if place not in self._opened:
            # Chunks of zeros are written too, so that what is not there is known to be missing.
            with zarr.config.set({"array.write_empty_chunks": True}):
                opened = zarr.open_array(self.path, path=str(level), mode="r+")
            self._opened[place] = opened
        return self._opened[place]

    def _found(self, level: int) -> zarr.Array[Any] | None:
        """A level, or None where its metadata is lost or damaged."""
        try:
            return self._level(level)
        except (FileNotFoundError, ValueError, LookupError, TypeError, AttributeError):
            return None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": {}}


def create_sharded(
    path: Path,
    shape: Sequence[int],
    dtype: DTypeLike,
    block: Triple,
    *,
    grid: VoxelGrid = NOWHERE,
    attributes: Mapping[str, Any] | None = None,
    rule: str = "",
) -> ShardedStore:
    """Make a store to be written block by block, or go on with one that was made so.

    Args:
        path: Of the store, `.zarr`.
        shape: (Z, Y, X) or (C, Z, Y, X).
        dtype: Of the voxels.
        block: (z, y, x) voxels of a block; along an axis on which the volume is smaller, it is cut
            to it.
        grid: Where the voxels lie.
        attributes: Plain JSON-able values.
        rule: By which coarser levels follow, `mean` or `mode`; without one there are none.

    Raises:
        DataError: There is another store under that name.
    """
    from connectomics.data.io.zarr_write import create_shards

    depth, height, width = shape[-3:]
    z, y, x = (min(b, n) for b, n in zip(block, shape[-3:], strict=True))
    pyramid = ONE_LEVEL
    if rule:
        pyramid = Pyramid.of_blocks(rule, (depth, height, width), (z, y, x), grid.resolution)
    store = ShardedStore(path, tuple(shape), (z, y, x), pyramid)
    if path.exists() and (open_sharded(path) is not None or not path.is_dir()):
        return _as_begun(store)
    header = header_of(
        split_source(path),
        shape,
        np.dtype(dtype),
        resolution=grid.resolution,
        offset_nm=grid.offset_nm,
        attributes=attributes,
    )
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    create_shards(temporary, path.stem, header, store.block, pyramid, DEFAULT_CHUNKS)
    return _into_place(temporary, store)


def open_sharded(path: Path) -> ShardedStore | None:
    """Open a store that `create_sharded` made; None for anything else."""
    import zarr

    from connectomics.data.io.ome import pyramid_of
    from connectomics.data.io.zarr_write import ARRAY

    if not path.is_dir():
        return None
    try:
        group = zarr.open_group(path, mode="r")
        array, pyramid = group[ARRAY], pyramid_of(group.attrs.asdict())
    except Exception:  # whatever Zarr stumbles over
        return None
    if not isinstance(array, zarr.Array) or array.shards is None:
        return None
    z, y, x = array.shards[-3:]
    return ShardedStore(path, array.shape, (z, y, x), pyramid)


def copy_empty(store: ShardedStore, path: Path) -> ShardedStore:
    """Make a store of the same form without any block, or go on with one that was made so."""
    empty = replace(store, path=path, _opened={})
    if open_sharded(path) is None:
        store.restore_levels()
        temporary = path.with_name(f".{path.name}.{uuid4().hex}")
        for file in store.path.rglob("zarr.json"):
            copy = temporary / file.relative_to(store.path)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        return _into_place(temporary, empty)
    return _as_begun(empty)


def _into_place(temporary: Path, store: ShardedStore) -> ShardedStore:
    """Give a store its name; one that is there, such as another shard's, stays with its blocks."""
    try:
        temporary.rename(store.path)
    except OSError:
        if not store.path.is_dir():
            raise
        if open_sharded(store.path) is None:  # its metadata is lost or damaged
            for file in temporary.rglob("zarr.json"):
                place = store.path / file.relative_to(temporary)
                place.parent.mkdir(exist_ok=True)
                file.replace(place)
        return _as_begun(store)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return store


def _as_begun(store: ShardedStore) -> ShardedStore:
    """Make sure that what is there is this store; its levels are those that it was begun with.

    Raises:
        DataError: It is another.
    """
    there = open_sharded(store.path)
    if there is None or (there.shape, there.block) != (store.shape, store.block):
        raise DataError(str(store.path), "is another store.", "Delete it, or choose another name.")
    there.restore_levels()
    return there


def place_store(
    path: Path, grid: VoxelGrid, *, attributes: Mapping[str, Any] | None = None
) -> None:
    """Give a store that was written here another voxel size and offset, and attributes."""
    from connectomics.data.io.zarr_write import write_place

    with open_volume(path) as volume:
        shape, dtype = volume.shape, volume.dtype
    header = header_of(
        split_source(path),
        shape,
        dtype,
        resolution=grid.resolution,
        offset_nm=grid.offset_nm,
        attributes=attributes,
    )
    write_place(path, header)
