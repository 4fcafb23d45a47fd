"""Writing volumes: whole, or box by box where they exceed the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from connectomics.data.io.attributes import check_attributes
from connectomics.data.io.header import Header, check_array, native
from connectomics.data.io.location import (
    HDF5_SUFFIXES,
    SEPARATOR,
    TIFF_SUFFIXES,
    ZARR_SUFFIX,
    Location,
    is_zarr_store,
    split_source,
)
from connectomics.data.io.spacing import three_numbers, voxel_size
from connectomics.errors import DataError
from connectomics.files import atomic_path
from connectomics.geometry import Box, whole

# Blocks that suit thick sections.
DEFAULT_CHUNKS = (16, 128, 128)


class VolumeWriter:
    """A volume that is being written box by box; made by `create_volume`.

    Attributes:
        shape: (Z, Y, X) or (C, Z, Y, X), in voxels.
        dtype: Of the file.
        chunks: (z, y, x) of the pieces the file is stored in. Boxes along their borders are
            written fastest; others make the file read, change and compress a piece again.
    """

    def __init__(self, header: Header, array: Any, check: Callable[[], None]) -> None:
        self.shape = header.shape
        self.dtype = header.dtype
        self.chunks = header.chunks
        self._array = array
        self._check = check

    def write(self, box: Box, values: NDArray[Any]) -> None:
        """Write one box, all channels of it. Boxes may come in any order.

        Args:
            box: Region inside the volume, in voxels.
            values: (z, y, x) or (C, z, y, x) of the box's shape.

        Raises:
            ValueError: The box reaches outside, the shapes differ, or the file's dtype cannot
                hold every value of the array's.
            OSError: The disk is full. `create_volume` makes a DataError of it.
        """
        expected = (*self.shape[:-3], *box.shape)
        if not box.fits_in(self.shape[-3:]) or values.shape != expected:
            raise ValueError(
                f"cannot write {values.shape} at {box} of a volume of shape {self.shape}"
            )
        floats = self.dtype.kind == values.dtype.kind == "f"
        if not floats and not np.can_cast(values.dtype, self.dtype, "safe"):
            raise ValueError(f"a volume of {self.dtype} cannot hold {values.dtype}")
        channels = tuple(slice(0, count) for count in self.shape[:-3])
        self._array[(*channels, *box.slices)] = values
        self._check()


def save_volume(
    path: str | Path,
    array: NDArray[Any],
    *,
    resolution: Sequence[float] | None = None,
    offset_nm: Sequence[float] | None = None,
    attributes: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Write a volume; either all of it is there afterwards, or nothing.

    Args:
        path: The suffix decides: `.h5` (dataset "main", or `file.h5::dataset`, which joins the
            datasets of a file that exists), `.zarr` (version 3, OME-Zarr 0.5), `.tif`.
        array: (Z, Y, X) or (C, Z, Y, X).
        resolution: nm per voxel (z, y, x).
        offset_nm: Position of voxel (0, 0, 0) in nm (z, y, x).
        attributes: Plain JSON-able values; `open_volume(path).attributes` gives them back.
        overwrite: Replace what stands there.

    Raises:
        DataError: It exists already, the format is unknown, the array is no volume, the folder
            cannot be written, or the disk is full.
    """
    location = split_source(path)
    array = np.asarray(array)
    _check_target(location, overwrite)
    header = header_of(
        location,
        array.shape,
        array.dtype,
        resolution=resolution,
        offset_nm=offset_nm,
        attributes=attributes,
    )
    if location.path.suffix.lower() not in TIFF_SUFFIXES:
        with _writing(location, header) as writer:
            writer.write(whole(array.shape), array)
        return
    from connectomics.data.io import tiff_write

    with atomic_path(location.path) as temporary:
        tiff_write.write(temporary, array, header)


@contextmanager
def create_volume(
    path: str | Path,
    shape: Sequence[int],
    dtype: DTypeLike,
    *,
    resolution: Sequence[float] | None = None,
    offset_nm: Sequence[float] | None = None,
    attributes: Mapping[str, Any] | None = None,
    chunks: Sequence[int] = DEFAULT_CHUNKS,
    overwrite: bool = False,
) -> Iterator[VolumeWriter]:
    """Write a volume box by box; it appears under its name when the block ends well.

    Args:
        path: As for `save_volume`, HDF5 or Zarr.
        shape: (Z, Y, X) or (C, Z, Y, X). Voxels that are never written are 0.
        dtype: Of the voxels.
        resolution: nm per voxel (z, y, x).
        offset_nm: Position of voxel (0, 0, 0) in nm (z, y, x).
        attributes: Plain JSON-able values.
        chunks: (z, y, x) of the pieces in which it is stored and can be read, for one channel
            at a time. By default 16 × 128 × 128.
        overwrite: Replace what stands there.

    Yields:
        A writer with `write(box, values)`.

    Raises:
        DataError: As for `save_volume`; nothing is left behind.
    """
    location = split_source(path)
    if location.path.suffix.lower() in TIFF_SUFFIXES:
        raise DataError(
            location.source, "TIFF is written in one piece.", "Choose a .h5 or .zarr file."
        )
    _check_target(location, overwrite)
    header = header_of(
        location,
        shape,
        np.dtype(dtype),
        resolution=resolution,
        offset_nm=offset_nm,
        attributes=attributes,
        chunks=chunks,
    )
    with _writing(location, header) as writer:
        yield writer


@contextmanager
def _writing(location: Location, header: Header) -> Iterator[VolumeWriter]:
    # Imported here: each format's library takes its time.
    if location.path.suffix.lower() == ZARR_SUFFIX:
        from connectomics.data.io import zarr_write as format_writer
    else:
        from connectomics.data.io import hdf5_write as format_writer
    with (
        atomic_path(location.path) as temporary,
        format_writer.create(location, temporary, header) as (array, check),
    ):
        yield VolumeWriter(header, array, check)


def header_of(
    location: Location,
    shape: Sequence[int],
    dtype: np.dtype[Any],
    *,
    resolution: Sequence[float] | None,
    offset_nm: Sequence[float] | None,
    attributes: Mapping[str, Any] | None,
    chunks: Sequence[int] = DEFAULT_CHUNKS,
) -> Header:
    """What a file is to say of itself, checked."""
    source = location.source
    check_array(source, shape, dtype)
    z, y, x = (min(int(n), int(c)) for n, c in zip(shape[-3:], chunks, strict=True))
    return Header(
        shape=tuple(int(n) for n in shape),
        dtype=native(dtype),
        resolution=None if resolution is None else voxel_size(source, "resolution", resolution),
        offset_nm=three_numbers(source, "offset_nm", (0, 0, 0) if offset_nm is None else offset_nm),
        attributes=check_attributes(attributes or {}),
        chunks=(z, y, x),
    )


def _check_target(location: Location, overwrite: bool) -> None:
    path, suffix = location.path, location.path.suffix.lower()
    if suffix not in (*HDF5_SUFFIXES, *TIFF_SUFFIXES, ZARR_SUFFIX):
        raise DataError(
            location.source, f"cannot write {suffix or 'no suffix'!r}.", "Use .h5, .zarr or .tif."
        )
    if location.dataset is not None and suffix not in HDF5_SUFFIXES:
        raise DataError(
            location.source,
            "only in HDF5 can an array be written under a name.",
            f"Write {path} alone, or FILE.h5{SEPARATOR}{location.dataset}.",
        )
    if not path.exists():
        return
    if path.is_dir() and not (suffix == ZARR_SUFFIX and is_zarr_store(path)):
        raise DataError(
            location.source, "is a folder, and no Zarr store.", "Choose another name for the file."
        )
    there = "dataset"
    if location.dataset is not None:
        from connectomics.data.io import hdf5

        there = hdf5.what_is_at(path, location.dataset, location.source)
    if there == "group":
        raise DataError(location.source, "is a group of datasets.", "Choose another name.")
    if there == "dataset" and not overwrite:
        raise DataError(
            location.source, "exists already.", "Choose another name, or pass overwrite=True."
        )
