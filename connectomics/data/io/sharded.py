"""Volumes that several processes write at once: one block, one shard, one file of a Zarr store."""

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
    """

    path: Path
    shape: tuple[int, ...]
    block: Triple
    _opened: dict[int, zarr.Array[Any]] = field(default_factory=dict, compare=False, repr=False)

    def write(self, box: Box, values: NDArray[Any]) -> Path:
        """Write one block, all channels of it.

        Args:
            box: Exactly a block of the grid; anything else would have two writers share a file.
            values: (z, y, x) or (C, z, y, x) of the box's shape and of the store's dtype.

        Returns:
            The file, which is on disk.

        Raises:
            ValueError: The box is not a block, or the values are of another shape or dtype.
            OSError: The disk is full.
        """
        array = self._array()
        expected = (*self.shape[:-3], *box.shape)
        if not self.is_block(box):
            raise ValueError(f"{box} is not a block of {self.block} in {self.shape[-3:]}")
        if values.shape != expected or values.dtype != array.dtype:
            raise ValueError(
                f"{values.dtype} of {values.shape} cannot be written as {array.dtype} of {expected}"
            )
        file = self.file_of(box)
        file.unlink(missing_ok=True)  # Zarr reads what is there, which may be damaged
        array[(..., *box.slices)] = np.ascontiguousarray(values)
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

    def file_of(self, box: Box) -> Path:
        """The file of a block."""
        from connectomics.data.io.zarr_write import ARRAY

        place = (a // b for a, b in zip(box.start, self.block, strict=True))
        channels = (0,) * (len(self.shape) - 3)
        return self.path / ARRAY / self._array().metadata.encode_chunk_key((*channels, *place))

    def is_whole(self, box: Box) -> bool:
        """Whether the file of a block is there and as long as its index says."""
        from connectomics.data.io.zarr_gaps import is_whole

        return is_whole(self.file_of(box), self._array())

    def finish(self) -> None:
        """Remove what killed processes have left."""
        for left in self.path.rglob(LEFT_BY_ZARR):
            left.unlink(missing_ok=True)

    def _array(self) -> zarr.Array[Any]:
        import zarr

        from connectomics.data.io.zarr_write import ARRAY

        if os.getpid() not in self._opened:
            # Chunks of zeros are written too, so that what is not there is known to be missing.
            with zarr.config.set({"array.write_empty_chunks": True}):
                opened = zarr.open_array(self.path, path=ARRAY, mode="r+")
            self._opened.clear()
            self._opened[os.getpid()] = opened
        return self._opened[os.getpid()]

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

    Raises:
        DataError: There is something else under that name.
    """
    from connectomics.data.io.zarr_write import create_array

    z, y, x = (min(b, n) for b, n in zip(block, shape[-3:], strict=True))
    store = ShardedStore(path, tuple(shape), (z, y, x))
    channels = tuple(shape[:-3])
    if path.exists():
        return _as_begun(store)
    chunks = tuple(_divisor(n, c) for n, c in zip(store.block, DEFAULT_CHUNKS, strict=True))
    header = header_of(
        split_source(path),
        shape,
        np.dtype(dtype),
        resolution=grid.resolution,
        offset_nm=grid.offset_nm,
        attributes=attributes,
        chunks=chunks,
    )
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    create_array(temporary, path.stem, header, (*channels, *store.block))
    return _into_place(temporary, store)


def open_sharded(path: Path) -> ShardedStore | None:
    """Open a store that `create_sharded` made; None for anything else."""
    import zarr

    from connectomics.data.io.zarr_write import ARRAY

    if not path.is_dir():
        return None
    try:
        array = zarr.open_array(path, path=ARRAY, mode="r")
    except Exception:  # whatever Zarr stumbles over
        return None
    if array.shards is None:
        return None
    z, y, x = array.shards[-3:]
    return ShardedStore(path, array.shape, (z, y, x))


def copy_empty(store: ShardedStore, path: Path) -> ShardedStore:
    """Make a store of the same form without any block, or go on with one that was made so."""
    empty = replace(store, path=path, _opened={})
    if not path.exists():
        temporary = path.with_name(f".{path.name}.{uuid4().hex}")
        for file in store.path.rglob("zarr.json"):
            copy = temporary / file.relative_to(store.path)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        return _into_place(temporary, empty)
    return _as_begun(empty)


def _into_place(temporary: Path, store: ShardedStore) -> ShardedStore:
    try:
        temporary.rename(store.path)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        if not store.path.exists():
            raise
        return _as_begun(store)  # another shard was quicker
    return store


def _as_begun(store: ShardedStore) -> ShardedStore:
    """Make sure that what is there is this store.

    Raises:
        DataError: It is another.
    """
    there = store._array()
    if (there.shape, there.shards) != (store.shape, (*store.shape[:-3], *store.block)):
        raise DataError(str(store.path), "is another store.", "Delete it, or choose another name.")
    return store


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


def _divisor(length: int, wanted: int) -> int:
    """The divisor of a length that is nearest to what is wanted, as a ratio.

    >>> _divisor(512, 128), _divisor(96, 128), _divisor(509, 128), _divisor(21, 16)
    (128, 96, 509, 21)
    """
    divisors = (n for n in range(1, length + 1) if length % n == 0)
    return min(divisors, key=lambda n: max(n / wanted, wanted / n))
