"""Opening volumes of any format: header now, voxels when asked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from connectomics.data.io.header import (
    ArrayLike,
    Header,
    Opener,
    Resolution,
    size_text,
)
from connectomics.data.io.location import Location, format_of, parse_location
from connectomics.data.io.spacing import agree, are_reversed, doubt, voxel_size
from connectomics.data.volumes import Volume
from connectomics.errors import DataError, reading, warn
from connectomics.geometry import Box, whole

DAMAGED = "The file is damaged or was changed: copy or download it again."
UNREADABLE = "It is incomplete, damaged, or not what its name says: copy or download it again."


class LazyVolume(Volume):
    """A volume on disk that is read box by box.

    It can be pickled and carried into other processes: each opens the file for itself at its
    first read. Made by `open_volume`.

    Attributes:
        name: Short name for tables and file names.
        grid: Where its voxels lie.
        attributes: Everything else the file says, as plain values.
        chunks: (z, y, x) of the pieces the file is stored in; boxes along their borders read
            fastest. None where any box does.
        dataset: The name of the array inside the file or store; empty where arrays have none.
        loss: Why the values cannot be labels, as an image file stores them; empty where they can.
        gaps: How much of it is not in the file, or None where all is.
        sections: The number of each section, where they are files of their own that have one.
        placed: Whether the file states its offset; where it does not, it counts as zero.
        origin: Voxel (z, y, x) of the stored array at which this part of it begins.
        remote: Whether it lies at a web address, so that forked processes cannot read it.
    """

    def __init__(self, location: Location, header: Header, opener: Opener) -> None:
        self.name = location.name
        self.source = location.source
        self.shape = header.shape
        self.dtype = header.dtype
        self.grid = header.grid
        self.attributes = dict(header.attributes)
        self.chunks = header.chunks
        self.dataset = header.dataset
        self.loss = header.loss
        self.gaps = header.gaps
        self.sections = header.sections
        self.placed = header.placed
        self.origin = (0, 0, 0)
        self.remote = bool(location.url)
        self._file = location.path
        self._bytes = _size_of(location.path)
        self._opener = opener
        self._opened: tuple[int, ArrayLike, Callable[[], None]] | None = None

    def read(self, box: Box | None = None) -> NDArray[Any]:
        """Read a box, or everything.

        Args:
            box: Region in voxels, inside the volume. All channels are read.

        Returns:
            (Z, Y, X) or (C, Z, Y, X) array of `dtype`, that owns its memory.

        Raises:
            ValueError: The box reaches outside the volume.
            DataError: The file cannot be read there, or the memory does not suffice.
        """
        box = whole(self.shape) if box is None else box
        if not box.fits_in(self.shape[-3:]):
            raise ValueError(f"{box} reaches outside {self.source} of shape {self.shape}")
        channels = (slice(0, self.shape[0]),) if len(self.shape) == 4 else ()
        index = (*channels, *box.shift(self.origin).slices)
        problem = f"cannot be read from {box.start} to {box.stop}"
        with reading(self.source, DAMAGED, problem):
            try:
                self._require_whole()  # before: what is cut short fails in words of its own
                values = np.ascontiguousarray(self._array()[index], self.dtype)
                self._require_whole()  # and after: past the end of its file HDF5 reads zeros
                return values
            except MemoryError as error:
                sizes = [float(n) for n in (*self.shape[:-3], *box.shape)]
                gib = np.prod(sizes) * self.dtype.itemsize / 2**30
                raise DataError(
                    self.source,
                    f"needs {gib:.1f} GiB of memory to be read whole.",
                    "Read it in boxes, or use a machine with more memory.",
                ) from error

    def crop(self, box: Box) -> LazyVolume:
        """The part inside `box` as a volume of its own, with its offset moved along.

        Raises:
            ValueError: The box reaches outside the volume, or holds nothing.
        """
        if not box.size or not box.fits_in(self.shape[-3:]):
            raise ValueError(f"{box} is no part of {self.source} of shape {self.shape}")
        part = copy(self)  # opens the file for itself
        part.shape = (*self.shape[:-3], *box.shape)
        part.origin = box.shift(self.origin).start
        part.sections = self.sections[box.start[0] : box.stop[0]]
        part.grid = self.grid.at(box.start)
        return part

    def close(self) -> None:
        """Close the file. The next read opens it again."""
        if self._opened is not None and self._opened[0] == os.getpid():
            self._opened[2]()
        self._opened = None

    def _require_whole(self) -> None:
        """Notice that somebody cuts the file short or takes it away while it is in use."""
        now = _size_of(self._file)
        if now < self._bytes:
            raise OSError(f"the file had {self._bytes} bytes when it was opened, and has {now}")

    def _array(self) -> ArrayLike:
        # A handle must not be shared with a forked process: both would move one file position.
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), *self._opener())
        return self._opened[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def __repr__(self) -> str:
        return f"LazyVolume({self.source!r}, shape={self.shape}, dtype={self.dtype})"


def open_volume(source: str | Path, *, resolution: Resolution | None = None) -> LazyVolume:
    """Open a volume without reading its voxels.

    Args:
        source: `file.h5` (one dataset inside), `file.h5::volumes/raw`, `store.zarr`,
            `store.zarr::path`, `store.n5/path`, a precomputed volume, `stack.tif`, `folder` or
            `folder/*.png` of sections; stores also at `s3://`, `gs://` and `https://`.
        resolution: nm per voxel (z, y, x) where the file does not say; where it does, the two
            must agree within one per cent, and the file's is used.

    Raises:
        DataError: There is no such file, it cannot be read, does not hold a volume, or its voxel
            size is not the one given.
    """
    location = parse_location(source)
    with reading(location.source, UNREADABLE):
        try:
            header, opener = _inspect(location)
        except OSError as error:
            reason = error.strerror or error
            remedy = "Check the file and its permissions."
            raise DataError(location.source, f"cannot be read: {reason}.", remedy) from error
    given = None if resolution is None else voxel_size(location.source, "resolution", resolution)
    agreed = _agreed(location.source, header.resolution, given)
    if agreed is not None and (slip := doubt(agreed)):
        problem = f"has voxels of {size_text(agreed)} nm (z, y, x). {slip}"
        where = "in `resolution`" if header.resolution is None else "in the file"
        remedy = f"It is nm per voxel, in the order (z, y, x): correct it {where} if it is wrong."
        warn(location.source, problem, remedy)
    return LazyVolume(location, replace(header, resolution=agreed), opener)


def read_volume(source: str | Path) -> NDArray[Any]:
    """Read a whole volume; see `open_volume` for what may be named and what can go wrong.

    Returns:
        (Z, Y, X) or (C, Z, Y, X) array.
    """
    with open_volume(source) as volume:
        return volume.read()


def _inspect(location: Location) -> tuple[Header, Opener]:
    # Imported here: each format's library takes its time, and most runs need one.
    match format_of(location):
        case "hdf5":
            from connectomics.data.io import hdf5 as reader
        case "zarr":
            from connectomics.data.io import zarr_store as reader
        case "tiff":
            from connectomics.data.io import tiff as reader
        case "sections":
            from connectomics.data.io import sections as reader
        case "n5":
            from connectomics.data.io import n5 as reader
        case "precomputed":
            from connectomics.data.io import precomputed as reader
        case "remote":
            from connectomics.data.io import remote as reader
    return reader.inspect(location)


def _size_of(path: Path) -> int:
    """The bytes of a file; 0 for a folder, and for what is not there."""
    return path.stat().st_size if path.is_file() else 0


def _agreed(source: str, stated: Resolution | None, given: Resolution | None) -> Resolution | None:
    if stated is None or given is None or agree(stated, given):
        return stated or given
    order = ""
    if are_reversed(stated, given):
        wrong = "file" if doubt(stated) else "config"
        order = f" What the {wrong} says looks like (x, y, z)."
    raise DataError(
        source,
        f"the file says {size_text(stated)} nm per voxel (z, y, x), the config {size_text(given)}.",
        f"Correct `resolution` in the config, or in the file, whichever is wrong.{order}",
    )
