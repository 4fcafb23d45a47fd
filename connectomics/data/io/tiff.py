"""Reading TIFF stacks: plain, ImageJ, OME and tifffile's own."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
import tifffile
from numpy.typing import NDArray

from connectomics.data.io.attributes import split_attributes
from connectomics.data.io.axes import ordered, volume_axes
from connectomics.data.io.header import (
    ArrayLike,
    Header,
    Opener,
    Resolution,
    check_array,
    native,
    size_text,
)
from connectomics.data.io.location import Location
from connectomics.data.io.pictures import Picture, decode_page, of_page
from connectomics.data.io.sections import SectionStack
from connectomics.data.io.spacing import in_nm, one_size
from connectomics.data.io.uncompressed import UncompressedStack
from connectomics.errors import DataError, warn

# The key under which `tiff_write` keeps what TIFF has no place for.
OWN_METADATA = "connectomics"


# The unit of a TIFF's own resolution tags, by the tag ResolutionUnit; 1 is no unit.
RESOLUTION_UNITS = {2: "inch", 3: "cm"}
SCREEN = 72.0  # pixels per inch, which stands there where nobody knew better

# More sections than these are stored as channels by many programs; fewer may be channels.
MOST_CHANNELS = 4


class Layout(NamedTuple):
    """How the pages of a file make a volume.

    Attributes:
        numbers: Which page shows which section, with an axis for each that the pages are along.
        section: (rows, columns) of a page.
        order: For each axis of the volume, the axis of `numbers` and `section` together.
    """

    numbers: NDArray[np.intp]
    section: tuple[int, int]
    order: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """(Z, Y, X) or (C, Z, Y, X)."""
        stored = (*self.numbers.shape, *self.section)
        return tuple(stored[axis] for axis in self.order)


def inspect(location: Location) -> tuple[Header, Opener]:
    """Read the header of a stack.

    The voxel size is taken from ImageJ's spacing and resolution, from OME's physical sizes, or
    from what this package wrote. A time axis, or channels without a z axis, count as z: that is
    how stacks of sections often come out of other programs.

    Raises:
        DataError: The file is no TIFF or is cut short, is in colour, holds one 2-D image, images
            of different sizes, or more than one axis of sections.
    """
    source = location.source
    with _readable(source), tifffile.TiffFile(location.path) as tiff:
        layout = _layout(source, tiff)
        own = _own_metadata(tiff)
        dtype = native(np.dtype(tiff.series[0].dtype))
        check_array(source, layout.shape, dtype)
        stated = {name: own[name] for name in ("resolution", "offset") if name in own}
        resolution, offset_nm, _ = split_attributes(source, stated)
        sizes = {
            "ImageJ": _imagej_voxel_size(source, tiff),
            "OME-XML": _ome_voxel_size(source, tiff),
            "connectomics": resolution,
        }
        picture = of_page(source, tiff.pages.first)
        height, width = layout.shape[-2:]
        header = Header(
            layout.shape,
            dtype,
            one_size(source, sizes),
            offset_nm or (0.0, 0.0, 0.0),
            own.get("attributes", {}),
            (1, height, width),
            loss=picture.loss,
            placed=offset_nm is not None,
        )
    return header, partial(_open_stack, location, layout, picture)


def _layout(source: str, tiff: tifffile.TiffFile) -> Layout:
    if len(tiff.series) != 1:
        sizes = ", ".join(size_text(s.shape) for s in tiff.series[:5])
        raise DataError(source, f"its pages differ in size or type ({sizes}).", "Make them equal.")
    axes, sizes = tiff.series[0].get_axes(squeeze=False), tiff.series[0].get_shape(squeeze=False)
    if dict(zip(axes, sizes, strict=True)).get("S", 1) > 1:
        raise DataError(source, f"is in colour (axes {axes}).", "Convert it to grey values.")
    axes, shape = _named_axes(axes, sizes)
    if not axes.endswith("YX"):
        return _other_order(source, tiff, axes.lower(), shape)
    section, leading, length = (
        (shape[-2], shape[-1]),
        axes[:-2],
        dict(zip(axes, shape, strict=True)),
    )
    pages = math.prod(shape[:-2])
    _check_complete(source, tiff, pages, section)
    stacked = [(axis, n) for axis, n in zip(leading, shape, strict=False) if axis != "C" and n > 1]
    if len(stacked) > 1:
        text = ", ".join(f"{axis}={n}" for axis, n in stacked)
        raise DataError(source, f"has several axes of sections ({text}).", "Store one volume.")
    numbers = np.arange(pages).reshape(shape[:-2])
    if "C" in leading:
        numbers = np.moveaxis(numbers, leading.index("C"), 0)
    channels = length.get("C", 1)
    declared = _declared_shape(tiff)
    if channels > 1 and (len(declared) >= 4 or (not declared and stacked)):
        numbers = numbers.reshape(channels, -1)
    elif len(declared) >= 3 or pages > 1:
        if 1 < channels <= MOST_CHANNELS:
            problem = f"has {channels} channels of one section each, which are taken for sections."
            warn(source, problem, "If they are channels, store one of them, or (C, Z, Y, X).")
        numbers = numbers.reshape(-1)
    else:
        numbers = numbers.reshape(())
    return Layout(numbers, section, tuple(range(numbers.ndim + 2)))


def _named_axes(axes: str, shape: Sequence[int]) -> tuple[str, tuple[int, ...]]:
    """Give axes that nobody has named (Q) the names that they usually have, and leave out S.

    >>> _named_axes("QQYX", (3, 5, 8, 8)), _named_axes("QYXQ", (5, 8, 8, 1))
    (('CZYX', (3, 5, 8, 8)), ('ZYX', (5, 8, 8)))
    """
    pairs = [(axis, n) for axis, n in zip(axes, shape, strict=True) if axis != "S"]
    if pairs[-1] == ("Q", 1):
        pairs.pop()
    while [axis for axis, _ in pairs].count("Q") > 2 and ("Q", 1) in pairs[:1]:
        pairs.pop(0)
    unnamed = [i for i, (axis, _) in enumerate(pairs) if axis == "Q"]
    known = {axis for axis, _ in pairs}
    for i, name in zip(reversed(unnamed), (n for n in "ZC" if n not in known), strict=False):
        pairs[i] = (name, pairs[i][1])
    return "".join(axis for axis, _ in pairs), tuple(n for _, n in pairs)


def _other_order(
    source: str, tiff: tifffile.TiffFile, names: str, shape: tuple[int, ...]
) -> Layout:
    """A file whose pages do not lie along y and x, as tifffile's own metadata may say."""
    order = volume_axes(source, tuple(names), shape)
    *leading, rows, columns = shape
    pages = math.prod(leading)
    _check_complete(source, tiff, pages, (rows, columns))
    return Layout(np.arange(pages).reshape(leading), (rows, columns), order)


def _check_complete(
    source: str, tiff: tifffile.TiffFile, pages: int, section_shape: tuple[int, int]
) -> None:
    """Compare the file with what its header announces; tifffile itself reads what is left."""
    series, voxels = tiff.series[0], pages * math.prod(section_shape)
    declared = _declared_shape(tiff)
    announced = int((tiff.imagej_metadata or {}).get("images", 0)) * math.prod(section_shape)
    if series.dataoffset is not None:
        end = series.dataoffset + voxels * series.dtype.itemsize
    else:
        last = series.pages[-1] or series.keyframe
        end = max(map(sum, zip(last.dataoffsets, last.databytecounts, strict=True)), default=0)
    if (
        max(announced, math.prod(declared) if declared else 0) > voxels
        or end > tiff.filehandle.size
        or not _ends_properly(tiff)
    ):
        raise DataError(
            source,
            "is cut short: sections that its header announces are not in the file.",
            "Copy or download it again.",
        )


def _ends_properly(tiff: tifffile.TiffFile) -> bool:
    """Whether the chain of pages ends with a zero, and not with a page beyond the file."""
    tiff.filehandle.seek(tiff.pages.next_page_offset or 0)
    return tiff.filehandle.read(tiff.tiff.offsetsize) == bytes(tiff.tiff.offsetsize)


def _open_stack(
    location: Location, layout: Layout, picture: Picture
) -> tuple[ArrayLike, Callable[[], None]]:
    numbers, shape, order = layout
    with _readable(location.source):
        tiff = tifffile.TiffFile(location.path)
        series = tiff.series[0]
        if series.dataoffset is not None and series.dtype.kind != "b":
            tiff.close()
            stored = np.dtype(series.dtype).newbyteorder(tiff.byteorder)
            file = location.path.open("rb")
            plain = UncompressedStack(file, series.dataoffset, stored, numbers, shape, picture)
            return ordered(plain, order, numbers.ndim + 2), plain.close
        read: Callable[[int], NDArray[Any]]
        if len(series.pages) == numbers.size:
            read = partial(_read_page, location.source, series)
        else:  # several sections share a page: there is no reading them one by one
            read = series.asarray().reshape(numbers.size, *shape).__getitem__
    stack = SectionStack(numbers, lambda n: picture.values(read(n)), shape, picture.dtype)
    return ordered(stack, order, numbers.ndim + 2), tiff.close


def _read_page(source: str, series: tifffile.TiffPageSeries, number: int) -> NDArray[Any]:
    page = series.pages[number]
    if page is None:
        raise DataError(source, f"section {number} is missing.", "Copy or download it again.")
    return decode_page(source, page)


@contextmanager
def _readable(source: str) -> Iterator[None]:
    try:
        yield
    # LookupError and TypeError: what tifffile stumbles over in damaged tags.
    except (OSError, ValueError, RuntimeError, LookupError, TypeError) as error:
        raise DataError(
            source,
            f"cannot be read as TIFF: {error}.",
            "The file is incomplete, damaged or of another format: copy or download it again.",
        ) from error


def _shaped_metadata(tiff: tifffile.TiffFile) -> dict[str, Any]:
    return dict((tiff.shaped_metadata or ({},))[0])


def _declared_shape(tiff: tifffile.TiffFile) -> tuple[int, ...]:
    """The array's shape where the file states it in full, else ()."""
    shaped = _shaped_metadata(tiff).get("shape", ())
    return tuple(_own_metadata(tiff).get("shape", shaped))


def _own_metadata(tiff: tifffile.TiffFile) -> dict[str, Any]:
    if tiff.imagej_metadata is None:
        return _shaped_metadata(tiff).get(OWN_METADATA, {})
    try:
        info = json.loads(str(tiff.imagej_metadata.get("Info", "")))
    except ValueError:  # ImageJ's Info is free text
        return {}
    return info.get(OWN_METADATA, {}) if isinstance(info, dict) else {}


def _imagej_voxel_size(source: str, tiff: tifffile.TiffFile) -> Resolution | None:
    metadata = tiff.imagej_metadata or {}
    tags = tiff.pages.first.tags
    spacing = abs(float(metadata.get("spacing", 0)))
    if not spacing or "XResolution" not in tags or "YResolution" not in tags:
        return None
    (rows, per_rows), (columns, per_columns) = (
        tags[name].value for name in ("YResolution", "XResolution")
    )
    if rows == 0 or columns == 0:
        return None
    unit = metadata.get("unit")
    if unit is None and columns / per_columns != SCREEN and "ResolutionUnit" in tags:
        unit = RESOLUTION_UNITS.get(int(tags["ResolutionUnit"].value))
    units = [str(metadata.get(f"{axis}unit", unit or "")) for axis in "zyx"]
    size = in_nm(source, (spacing, per_rows / rows, per_columns / columns), units)
    if size is None:
        return None
    # A tag is a ratio of integers; six digits take its rounding back.
    z, y, x = (float(f"{value:.6g}") for value in size)
    return z, y, x


def _ome_voxel_size(source: str, tiff: tifffile.TiffFile) -> Resolution | None:
    if not tiff.ome_metadata:
        return None
    pixels = ElementTree.fromstring(tiff.ome_metadata).find(".//{*}Pixels")
    if pixels is None:
        return None
    sizes = [pixels.get(f"PhysicalSize{axis}") for axis in "ZYX"]
    units = [pixels.get(f"PhysicalSize{axis}Unit", "µm") for axis in "ZYX"]
    if any(size is None for size in sizes):
        return None
    return in_nm(source, [float(size or 0) for size in sizes], units)
