"""Reading Zarr, versions 2 and 3, plain or OME-Zarr: `store.zarr` or `store.zarr::path`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import zarr
from zarr.errors import ContainsArrayError

from connectomics.data.io import ome
from connectomics.data.io.attributes import split_attributes
from connectomics.data.io.axes import axis_attributes, ordered, stated_axes, volume_axes
from connectomics.data.io.chunked import count_gaps
from connectomics.data.io.header import (
    ArrayLike,
    Gaps,
    Header,
    Opener,
    check_array,
    native,
    size_text,
)
from connectomics.data.io.location import ZARR_MARKERS, Location, is_zarr_store
from connectomics.data.io.objects import Reaching, objects_of, open_web
from connectomics.data.io.spacing import one_size
from connectomics.data.io.web_faults import reaching
from connectomics.data.io.zarr_gaps import find_gaps
from connectomics.errors import DataError, did_you_mean

AT_MOST_LISTED = 20

Node = zarr.Array[Any] | zarr.Group


def inspect(location: Location) -> tuple[Header, Opener]:
    """Read the header of an array.

    Of an OME-Zarr image the finest scale is taken, its voxel size converted to nm, and time and
    channel axes of length one are left out. Attributes `resolution` and `offset` (nm, zyx) of a
    plain array are understood.

    Raises:
        DataError: The folder is no Zarr store or is damaged; there is no such array, or several
            and none was named; or the array is not a volume.
    """
    if not location.url and not is_zarr_store(location.path):
        raise DataError(
            location.source,
            f"is no Zarr store: it holds none of {', '.join(ZARR_MARKERS)}.",
            "Check the path; the store may lie one folder deeper, or its copy be incomplete.",
        )
    node = _find_node(location)
    array, scale = _choose_array(node, location)
    stated = {**_without_ome(dict(node.attrs)), **_without_ome(dict(array.attrs))}
    named = {
        "OME-Zarr axes": scale and scale.names,
        "dimension_names": getattr(array.metadata, "dimension_names", None),
        **axis_attributes(stated),
    }
    names = stated_axes(location.source, named, array.shape)
    order = volume_axes(location.source, names, array.shape)
    header = _header(location.source, array, stated, scale, (names, order))
    gaps = _gaps_on_the_web(location, array) if location.url else find_gaps(location.path, array)
    return replace(header, gaps=gaps), partial(_open_array, location, array.path, order)


def _store_of(location: Location, *, steady: bool = False) -> Any:
    if not location.url:
        return location.path
    from zarr.storage import ObjectStore

    return ObjectStore(open_web(location.url, location.source, steady=steady), read_only=True)


def _gaps_on_the_web(location: Location, array: zarr.Array[Any]) -> Gaps | None:
    """Look for some of its files."""
    objects, size = objects_of(location), array.shards or array.chunks

    def has(place: tuple[int, ...]) -> bool:
        key = array.metadata.encode_chunk_key(place)
        return objects.has(f"{array.path}/{key}".lstrip("/"))

    grid = [-(-n // s) for n, s in zip(array.shape, size, strict=True)]
    return count_gaps(grid, has, remote=True, what="shards" if array.shards else "chunks")


def _header(
    source: str,
    array: zarr.Array[Any],
    stated: Mapping[str, Any],
    scale: ome.Scale | None,
    axes: tuple[tuple[str, ...], tuple[int, ...]],
) -> Header:
    names, order = axes
    dtype = np.dtype(array.dtype)
    shape = tuple(array.shape[axis] for axis in order)
    check_array(source, shape, dtype)
    resolution, offset_nm, attributes = split_attributes(source, stated, names)
    if scale is not None:
        sizes = {"OME-Zarr scale": scale.resolution_nm(source), "attributes": resolution}
        resolution = one_size(source, sizes)
        offset_nm = scale.offset_nm(source) or offset_nm
    z, y, x = (array.chunks[axis] for axis in order[-3:])
    return Header(
        shape,
        native(dtype),
        resolution,
        offset_nm or (0.0, 0.0, 0.0),
        attributes,
        (z, y, x),
        array.path,
        placed=offset_nm is not None,
    )


def _find_node(location: Location) -> Node:
    try:
        with reaching(location.source):
            return _open_node(location)
    # The last three: what Zarr stumbles over in metadata that is valid JSON and nonsense.
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            location.source,
            f"cannot be read as Zarr: {type(error).__name__}: {error}.",
            "The store is incomplete, damaged, or uses something this version cannot read.",
        ) from error


def _open_node(location: Location) -> Node:
    # What a copy of all metadata says may be out of date, and of local files is of no use.
    root = zarr.open(_store_of(location), mode="r", use_consolidated=False)
    if location.dataset is None:
        return root
    if isinstance(root, zarr.Group) and location.dataset in root:
        return root[location.dataset]
    raise DataError(location.source, "no such array in the store.", _offer(root, location))


def _choose_array(node: Node, location: Location) -> tuple[zarr.Array[Any], ome.Scale | None]:
    source = location.source
    if isinstance(node, zarr.Array):
        return node, _scale_of(node, location)
    levels = ome.scales(source, dict(node.attrs))
    if levels:
        finest = node.get(levels[0].path)
        if isinstance(finest, zarr.Array):
            return finest, levels[0]
        raise DataError(
            source,
            f"its OME-Zarr metadata names the array {levels[0].path!r}, which is not there.",
            _offer(node, location),
        )
    arrays = _list_arrays(node, location)
    if len(arrays) == 1:
        return arrays[0], _scale_of(arrays[0], location)
    problem = f"holds {len(arrays)} arrays." if arrays else "holds no array."
    raise DataError(source, problem, _offer(node, location))


def _scale_of(array: zarr.Array[Any], location: Location) -> ome.Scale | None:
    """What the groups around an array say about it as a level of an OME-Zarr image."""
    levels = levels_beside(location, array.path)
    return next((level for level in levels if level.path == array.path), None)


def levels_beside(location: Location, path: str) -> list[ome.Scale]:
    """The levels of the OME-Zarr image that an array is one of, finest first; none of any other.

    Their paths are those in the store.
    """
    parts = path.split("/")
    for depth in range(len(parts) - 1, -1, -1):
        around = parts[:depth]
        group = _group_at(location, "/".join(around))
        levels = ome.scales(location.source, dict(group.attrs)) if group is not None else []
        inside = [replace(level, path="/".join([*around, level.path])) for level in levels]
        if any(level.path == path for level in inside):
            return inside
    return []


def _group_at(location: Location, path: str) -> zarr.Group | None:
    try:
        return zarr.open_group(_store_of(location), path=path, mode="r", use_consolidated=False)
    except (FileNotFoundError, ContainsArrayError):
        return None


def _without_ome(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if name not in ome.OME_KEYS}


def _list_arrays(group: zarr.Group, location: Location) -> list[zarr.Array[Any]]:
    if location.url.startswith("http"):  # a web server lists nothing, but metadata may
        try:
            path = group.path
            group = zarr.open_group(_store_of(location), path=path, mode="r", use_consolidated=True)
        except ValueError:
            return []
    members = [node for _, node in group.members(max_depth=None)]
    return sorted((n for n in members if isinstance(n, zarr.Array)), key=lambda n: n.path)


def _offer(node: Node, location: Location) -> str:
    if isinstance(node, zarr.Array):
        return f"The store is one array; write {location.url or location.path} alone."
    arrays = _list_arrays(node, location)
    if not arrays and location.url.startswith("http"):
        return f"A web server lists no arrays: name one, {location.url}::PATH."
    if not arrays:
        return "Check that it is the right store."
    hint = did_you_mean(location.dataset or "", [array.path for array in arrays])
    suggestion = f"{hint} " if hint.startswith("Did") else ""
    lines = [
        f"{location.url or location.path}::{array.path}  ({size_text(array.shape)}, {array.dtype})"
        for array in arrays[:AT_MOST_LISTED]
    ]
    return f"{suggestion}Name one of them:\n    " + "\n    ".join(lines)


def _open_array(
    location: Location, name: str, order: tuple[int, ...]
) -> tuple[ArrayLike, Callable[[], None]]:
    with reaching(location.source):
        array = zarr.open_array(_store_of(location, steady=True), path=name, mode="r")
    reader = Reaching(array, location.source) if location.url else array
    return ordered(reader, order, array.ndim), _nothing_to_close


def _nothing_to_close() -> None:
    """A Zarr array opens and closes a file for every chunk by itself."""
