"""Writing HDF5, so that a full disk is an error like any other."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from connectomics.data.io.attributes import OFFSET
from connectomics.data.io.hdf5 import encode_attribute
from connectomics.data.io.hdf5_attributes import trust
from connectomics.data.io.hdf5_chunks import LEVEL, ChunkedDataset
from connectomics.data.io.header import Header
from connectomics.data.io.location import Location
from connectomics.errors import DataError
from connectomics.files import write_hdf5
from connectomics.geometry import VoxelGrid

DEFAULT_DATASET = "main"


@contextmanager
def create(
    location: Location, temporary: Path, header: Header
) -> Iterator[tuple[ChunkedDataset, Callable[[], None]]]:
    """Create a dataset in a temporary file, beside those of the file it will replace, if any.

    Args:
        location: The final file. Without a dataset named, it will hold "main" alone.
        temporary: The file to make.
        header: What to create.

    Yields:
        The dataset, and a function that raises if the disk refused something.

    Raises:
        OSError: The disk did not take all of it.
        DataError: There is an array on the way to the dataset's name.
    """
    name = location.dataset or DEFAULT_DATASET
    if location.dataset is not None and location.path.exists():
        shutil.copyfile(location.path, temporary)
    with write_hdf5(temporary) as (file, check):
        if name in file:
            del file[name]
        yield ChunkedDataset(_create_dataset(file, name, location.source, header)), check
    trust(temporary)


def write_place(
    path: Path, grid: VoxelGrid, *, attributes: Mapping[str, Any] | None = None
) -> None:
    """Give the dataset "main" of a file another voxel size and offset, and attributes.

    Raises:
        OSError: The disk did not take it.
    """
    with write_hdf5(path) as (file, check):
        there = file[DEFAULT_DATASET].attrs
        for name in ("resolution", OFFSET):
            there.pop(name, None)
        _describe_place(there, grid)
        for name, value in (attributes or {}).items():
            there[name] = encode_attribute(value)
        check()
    trust(path)


def _create_dataset(file: h5py.File, name: str, source: str, header: Header) -> h5py.Dataset:
    try:
        dataset = file.create_dataset(
            name,
            shape=header.shape,
            dtype=header.dtype,
            chunks=header.full_chunks,
            compression="gzip",
            compression_opts=LEVEL,
            shuffle=header.dtype.itemsize > 1,
        )
    except (ValueError, TypeError) as error:
        raise DataError(
            source, f"cannot be made in this file: {error}.", "Choose another dataset name."
        ) from error
    for axis, name in zip(dataset.dims, "czyx"[-len(header.shape) :], strict=True):
        axis.label = name
    _describe_place(dataset.attrs, header.grid)
    for key, value in header.attributes.items():
        dataset.attrs[key] = encode_attribute(value)
    return dataset


def _describe_place(attributes: h5py.AttributeManager, grid: VoxelGrid) -> None:
    if grid.resolution is not None:
        attributes["resolution"] = grid.resolution
    if any(grid.offset_nm):
        attributes[OFFSET] = grid.offset_nm
