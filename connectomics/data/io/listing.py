"""What a file, a store or a folder holds that may be a volume, each as a user would name it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connectomics.data.io.location import (
    HDF5_SUFFIXES,
    SEPARATOR,
    TIFF_SUFFIXES,
    ZARR_SUFFIX,
    Location,
    format_of,
    is_zarr_store,
    parse_location,
)
from connectomics.errors import DataError, reading

if TYPE_CHECKING:
    import zarr

DIMENSIONS = 3
"""A volume has at least so many; tables and lists of points have fewer."""


def list_volumes(source: str | Path) -> list[str]:
    """Find what may be a volume.

    Args:
        source: As for `open_volume`; also an HDF5 file or Zarr store with several arrays, and a
            folder of volumes, or of folders of sections.

    Returns:
        Names for `open_volume`. What is one volume by itself is named as it was given; so is what
        holds none, and opening it says so.

    Raises:
        DataError: There is no such file, or it cannot be read.
    """
    location = parse_location(source)
    form = format_of(location)
    if location.dataset is None and form == "hdf5":
        return _in_hdf5(location)
    if location.dataset is None and form == "zarr":
        return _in_zarr(location)
    if form == "sections" and location.path.is_dir():
        return _in_folder(location)
    return [location.source]


def _in_hdf5(location: Location) -> list[str]:
    from connectomics.data.io.hdf5 import list_datasets
    from connectomics.data.io.hdf5_file import open_file

    with open_file(location.path, location.source) as file:
        names = [
            str(dataset.name).lstrip("/")
            for dataset in list_datasets(file)
            if len(dataset.shape or ()) >= DIMENSIONS and dataset.dtype.kind in "biuf"
        ]
        alone = len(list_datasets(file)) == 1
    if len(names) < 2 and (alone or not names):
        return [location.source]
    return [f"{location.source}{SEPARATOR}{name}" for name in names]


def _in_zarr(location: Location) -> list[str]:
    import zarr

    with reading(location.source, "The store is incomplete or damaged."):
        root = zarr.open(location.path, mode="r", use_consolidated=False)
        names = list(_images(root)) if isinstance(root, zarr.Group) else [""]
    if len(names) < 2:
        return [location.source]
    return [f"{location.source}{SEPARATOR}{name}" for name in names]


def _images(group: zarr.Group) -> Iterator[str]:
    """The arrays below a group; of an OME-Zarr image the group that holds its scales."""
    import zarr

    from connectomics.data.io import ome

    if ome.scales(group.path, dict(group.attrs)):
        yield group.path
        return
    members: list[tuple[str, Any]] = sorted(group.members(), key=lambda member: member[0])
    for _, node in members:
        if isinstance(node, zarr.Group):
            yield from _images(node)
        elif len(node.shape) >= DIMENSIONS:
            yield node.path


def _in_folder(location: Location) -> list[str]:
    """A folder of sections is a volume; what else holds volumes is looked into, one level deep."""
    folder = location.path
    visible = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    sections = [path for path in visible if _is_section(path)]
    inside = [path for path in visible if _is_volume(path) and path not in sections]
    if not inside:
        return [location.source]
    if len(sections) > 1:
        raise DataError(
            location.source,
            f"holds {len(sections)} images of sections, and volumes beside them.",
            "Name the files one by one, or put the sections into a folder of their own.",
        )
    return [name for path in inside for name in list_volumes(path)]


def _is_volume(path: Path) -> bool:
    if path.is_dir():
        zarr = path.suffix.lower() == ZARR_SUFFIX or is_zarr_store(path)
        return zarr or any(_is_section(file) for file in path.iterdir())
    return path.suffix.lower() in (*HDF5_SUFFIXES, *TIFF_SUFFIXES)


def _is_section(path: Path) -> bool:
    from connectomics.data.io.sections import SECTION_SUFFIXES

    suffix = path.suffix.lower()
    return path.is_file() and suffix in SECTION_SUFFIXES and not _has_pages(path)


def _has_pages(path: Path) -> bool:
    """Whether a TIFF is a stack by itself; one that cannot be read is taken for a section."""
    if path.suffix.lower() not in TIFF_SUFFIXES:
        return False
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            return len(tiff.pages) > 1 or tiff.series[0].ndim > 2
    except (OSError, ValueError, tifffile.TiffFileError, IndexError):
        return False
