"""Reading N5, on a disk or on the web: `store.n5/volumes/raw`.

N5 lists the axes of an array as x, y, z, and what it says of them in that order; the first runs
fastest. So the bytes of a block are those of a (z, y, x) array. Where attributes name the axes as
z, y, x, a program wrote them that thinks in arrays (zarr-python's N5 store), and lists them so.

Format: https://github.com/saalfeldlab/n5#file-system-specification
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomics.data.io.attributes import split_attributes
from connectomics.data.io.axes import axis_attributes, axis_words, ordered, stated_axes, volume_axes
from connectomics.data.io.chunked import ChunkedArray
from connectomics.data.io.header import ArrayLike, Header, Opener, check_array, size_text
from connectomics.data.io.location import N5_MARKER, Location
from connectomics.data.io.n5_blocks import COMPRESSIONS, compression_of, decode_block
from connectomics.data.io.objects import FolderObjects, Objects, Reaching, WebObjects, objects_of
from connectomics.errors import DataError, did_you_mean

AT_MOST_LISTED = 20
LEVEL = re.compile(r"s(\d+)")
FINEST = "s0"

# What N5 itself says of an array, and of a pyramid of them.
OWN = ("n5", "dimensions", "blockSize", "dataType", "compression", "compressionType", "multiScale")
OWN += ("multiscales", "scales")


@dataclass(frozen=True)
class Blocks:
    """The blocks of one array, by their place (z, y, x)."""

    objects: Objects
    path: str
    dtype: np.dtype[Any]
    compression: Mapping[str, Any]

    def read(self, place: tuple[int, ...]) -> NDArray[Any] | None:
        """See `Chunks`."""
        raw = self.objects.get(self._key(place))
        return None if raw is None else decode_block(raw, self.dtype, self.compression, len(place))

    def has(self, place: tuple[int, ...]) -> bool:
        """See `Chunks`."""
        return self.objects.has(self._key(place))

    def _key(self, place: tuple[int, ...]) -> str:
        return "/".join([*filter(None, [self.path]), *map(str, reversed(place))])


def inspect(location: Location) -> tuple[Header, Opener]:
    """Read the header of an array; of a pyramid (`s0`, `s1`, …) that of the finest.

    Raises:
        DataError: There is no such array, or several and none was named; it is not a volume;
            what it says of itself makes no sense; or its blocks cannot be read here.
    """
    source, objects = location.source, objects_of(location)
    path, stored = _choose_array(objects, location)
    array = _array(location, path, stored)
    from_xyz, stated = _in_array_order(stored, len(array.shape))
    names = stated_axes(source, axis_attributes(stated), array.shape)
    order = volume_axes(source, names, array.shape)
    shape = tuple(array.shape[axis] for axis in order)
    check_array(source, shape, array.dtype)
    # Numbers stand as the axes do in N5, and are put right by the names of these.
    listed = names[::-1] if from_xyz else names
    group = _pyramid(objects, path)
    plain = {k: v for k, v in {**group, **stated}.items() if k not in OWN}
    resolution, offset_nm, attributes = split_attributes(source, plain, listed)
    z, y, x = (min(array.chunk[axis], array.shape[axis]) for axis in order[-3:])
    header = Header(
        shape,
        array.dtype,
        resolution,
        offset_nm or (0.0, 0.0, 0.0),
        attributes,
        (z, y, x),
        path,
        gaps=array.gaps(),
        placed=offset_nm is not None,
    )
    return header, partial(_open_array, location, path, stored, order)


def _open_array(
    location: Location, path: str, stored: Mapping[str, Any], order: tuple[int, ...]
) -> tuple[ArrayLike, Callable[[], None]]:
    array: Any = _array(location, path, stored)
    array = Reaching(array, location.source) if location.url else array
    return ordered(array, order, len(stored["dimensions"])), _nothing_to_close


def _nothing_to_close() -> None:
    """Blocks are files that are opened and closed one by one."""


def _array(location: Location, path: str, stored: Mapping[str, Any]) -> ChunkedArray:
    try:
        shape = tuple(int(n) for n in reversed(stored["dimensions"]))
        block = tuple(int(n) for n in reversed(stored["blockSize"]))
        dtype = np.dtype(str(stored["dataType"]))
        compression = compression_of(stored)
        if len(shape) != len(block) or min((*shape, *block), default=0) < 1 or len(shape) > 8:
            raise ValueError(f"dimensions {size_text(shape)} in blocks of {size_text(block)}")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            location.source,
            f"its {N5_MARKER} cannot be understood ({type(error).__name__}: {error}).",
            "The store is damaged, or holds something that is no array of numbers.",
        ) from error
    if compression["type"] not in COMPRESSIONS:
        raise DataError(
            location.source,
            f"its blocks are compressed with {compression['type']!r}, which is not read.",
            f"Read are {', '.join(COMPRESSIONS)}; store it again with one of them.",
        )
    blocks = Blocks(objects_of(location, steady=True), path, dtype, compression)
    return ChunkedArray(shape, block, dtype, blocks, remote=bool(location.url))


def _in_array_order(stored: Mapping[str, Any], ndim: int) -> tuple[bool, dict[str, Any]]:
    """The attributes with names of axes in the order of the array, and if they were reversed."""
    named = {key: words for key, value in stored.items() if (words := _names(key, value, ndim))}
    arrays = any(words.index("z") < words.index("x") for words in named.values())
    return not arrays, {
        **stored,
        **({} if arrays else {key: list(reversed(words)) for key, words in named.items()}),
    }


def _names(key: str, value: Any, ndim: int) -> tuple[str, ...] | None:
    words = axis_words(value) if key in axis_attributes({key: value}) else None
    return words if words and len(words) == ndim and {"z", "x"} <= set(words) else None


def _pyramid(objects: Objects, path: str) -> dict[str, Any]:
    """What the group of a level says of all of them: N5 Viewer states the finest voxel there."""
    parent, _, name = path.rpartition("/")
    level = LEVEL.fullmatch(name)
    if level is None:
        return {}
    stated = _attributes(objects, parent) or {}
    factors = stated.get("scales")
    found = {k: v for k, v in stated.items() if k in ("pixelResolution", "resolution", "units")}
    if isinstance(factors, list) and int(level[1]) < len(factors):
        found["downsamplingFactors"] = factors[int(level[1])]
    # Only N5 Viewer's means the finest level, whichever this is.
    return found if level[1] == "0" else {k: v for k, v in found.items() if k != "resolution"}


def _choose_array(objects: Objects, location: Location) -> tuple[str, dict[str, Any]]:
    path = location.dataset or ""
    stored = _attributes(objects, path, location.source)
    if stored and "dimensions" in stored:
        return path, stored
    finest = f"{path}/{FINEST}".lstrip("/")
    level = _attributes(objects, finest, location.source)
    if level and "dimensions" in level:
        return finest, level
    arrays = _list_arrays(objects, path)
    if len(arrays) == 1:
        return arrays[0], _attributes(objects, arrays[0], location.source) or {}
    everywhere = arrays or _list_arrays(objects, "")
    there = stored is not None or arrays or not location.dataset
    problem = f"holds {len(arrays)} arrays." if arrays else "holds no array."
    raise DataError(
        location.source,
        problem if there else "no such array in the store.",
        _offer(everywhere, location) if everywhere else "Check the path; name an array with ::.",
    )


def _attributes(objects: Objects, path: str, source: str = "") -> dict[str, Any] | None:
    raw = objects.get(f"{path}/{N5_MARKER}".lstrip("/"))
    if raw is None:
        return None
    try:
        stored = json.loads(raw)
        if not isinstance(stored, dict):
            raise ValueError("it holds no attributes")
    except ValueError as error:
        raise DataError(
            source or path,
            f"its {N5_MARKER} cannot be read: {error}.",
            "The store is damaged: copy it again.",
        ) from error
    return stored


def _list_arrays(objects: Objects, path: str) -> list[str]:
    """Arrays below a group, of each pyramid the finest; none where nothing can be listed."""
    if isinstance(objects, WebObjects):
        keys = [key for key, _, _ in objects.states() if key.endswith(f"/{N5_MARKER}")]
        folders = [key.removesuffix(f"/{N5_MARKER}") for key in keys]
        inside = [f for f in folders if f.startswith(f"{path}/" if path else "")]
        found = [f for f in inside if "dimensions" in (_attributes(objects, f) or {})]
    else:
        assert isinstance(objects, FolderObjects)
        found = []
        for folder, folders, names in os.walk(objects.root / path):
            here = os.path.relpath(folder, objects.root).replace(os.sep, "/")
            if N5_MARKER in names and "dimensions" in (_attributes(objects, here) or {}):
                found.append(here)
                folders.clear()  # below are blocks
    groups: dict[str, str] = {}
    for array in sorted(found):
        parent, _, name = array.rpartition("/")
        key = parent if LEVEL.fullmatch(name) else array
        groups.setdefault(key, array)
    return sorted(groups.values())


def _offer(arrays: list[str], location: Location) -> str:
    hint = did_you_mean(location.dataset or "", arrays)
    suggestion = f"{hint} " if hint.startswith("Did") else ""
    root = location.url or location.path
    lines = [f"{root}::{array}" for array in arrays[:AT_MOST_LISTED]]
    return f"{suggestion}Name one of them:\n    " + "\n    ".join(lines)
