"""Reading HDF5: a file with one dataset, or `file.h5::volumes/raw`."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np

from connectomics.data.io.attributes import plain, split_attributes
from connectomics.data.io.axes import axis_attributes, ordered, stated_axes, volume_axes
from connectomics.data.io.hdf5_attributes import check_attributes
from connectomics.data.io.hdf5_file import Place, check_stored, follow, open_file
from connectomics.data.io.header import ArrayLike, Header, Opener, check_array, native, size_text
from connectomics.data.io.location import Location
from connectomics.errors import DataError, did_you_mean

AT_MOST_LISTED = 20

# What HDF5 and netCDF keep for themselves in the attributes of a dataset with named dimensions.
DIMENSION_ATTRIBUTES = ("CLASS", "NAME", "REFERENCE_LIST", "DIMENSION_LIST", "DIMENSION_LABELS")

# HDF5 has no word for nested values: they are kept as JSON behind this mark.
JSON_MARK = "json:"


def inspect(location: Location) -> tuple[Header, Opener]:
    """Read the header of a dataset.

    Voxel size, offset and axes are taken from attributes (`attributes.py`), and axes also from
    the labels and scales of HDF5's dimensions.

    Raises:
        DataError: The file cannot be read as HDF5; there is no such dataset, or several and
            none was named; the dataset is not a volume; or what it says of itself makes no sense.
    """
    source = location.source
    with open_file(location.path, source) as file:
        dataset = _find_dataset(file, location)
        check_attributes(dataset, source)
        stated = {
            key: decode_attribute(value)
            for key, value in dataset.attrs.items()
            if key not in DIMENSION_ATTRIBUTES and not key.startswith("_Netcdf4")
        }
        named = {"dimension labels": _dimensions(dataset), **axis_attributes(stated)}
        stored = dataset.shape or ()  # None where there is nothing at all
        names = stated_axes(source, named, stored)
        order = volume_axes(source, names, stored)
        shape = tuple(stored[axis] for axis in order)
        check_array(source, shape, dataset.dtype)
        gaps = check_stored(Place(location.path, dataset, source))
        resolution, offset_nm, attributes = split_attributes(source, stated, names)
        header = Header(
            shape=shape,
            dtype=native(dataset.dtype),
            resolution=resolution,
            offset_nm=offset_nm or (0.0, 0.0, 0.0),
            attributes=attributes,
            chunks=dataset.chunks and tuple(dataset.chunks[axis] for axis in order[-3:]),
            dataset=str(dataset.name),
            gaps=gaps,
            placed=offset_nm is not None,
        )
    return header, partial(_open_dataset, location.path, source, header.dataset, order)


def states_axes(location: Location, dataset: str) -> bool:
    """Whether a dataset says itself which of its axes is which."""
    with open_file(location.path, location.source) as file:
        found: Any = file[dataset]
        return any(_dimensions(found)) or bool(axis_attributes(found.attrs))


def _dimensions(dataset: h5py.Dataset) -> list[str]:
    """The label of each dimension, or the name of its scale; empty where it has neither.

    They are read as the attributes that they are: HDF5's own functions for dimensions trust what
    stands there, and a file in which it is something else would end the process.
    """
    labels = _of_each_dimension(dataset, "DIMENSION_LABELS", str | bytes)
    scales = _of_each_dimension(dataset, "DIMENSION_LIST", np.ndarray)
    return [
        plain(label) or (_name_of_scale(dataset, scale) if scale is not None else "")
        for label, scale in zip(labels, scales, strict=True)
    ]


def _of_each_dimension(dataset: h5py.Dataset, name: str, kind: Any) -> list[Any]:
    """An attribute that holds something of a kind for each dimension; None where it does not."""
    count = len(dataset.shape or ())
    values = dataset.attrs.get(name)
    if not isinstance(values, np.ndarray) or values.shape != (count,):
        return [None] * count
    return [value if isinstance(value, kind) else None for value in values]


def _name_of_scale(dataset: h5py.Dataset, references: np.ndarray) -> str:
    first = references[0] if references.size else None
    if not isinstance(first, h5py.Reference) or not first:
        return ""
    return str(dataset.file[first].name).rpartition("/")[2]


def list_datasets(group: h5py.Group) -> list[h5py.Dataset]:
    """All datasets below a group, in order of their names."""
    found: list[h5py.Dataset] = []

    def collect(_: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found.append(item)

    group.visititems(collect)
    return found


def list_links(group: h5py.Group) -> list[str]:
    """The names below a group that are no objects, but lead to one."""
    found: list[str] = []

    def collect(name: str, link: object) -> None:
        if not isinstance(link, h5py.HardLink):
            found.append(name)

    group.visititems_links(collect)
    return sorted(found)


def encode_attribute(value: Any) -> Any:
    """Make an attribute of a plain value: text, numbers and flat lists of numbers as they are.

    >>> encode_attribute([1, 2]), encode_attribute({"a": None})
    ([1, 2], 'json:{"a": null}')
    """
    if isinstance(value, str) and not value.startswith(JSON_MARK):
        return value
    if isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**63):
        return value
    items = value if isinstance(value, list) else []
    kinds = {type(item) for item in items}
    if kinds == {float} or (kinds == {int} and all(abs(item) < 2**63 for item in items)):
        return value
    return JSON_MARK + json.dumps(value)


def decode_attribute(value: Any) -> Any:
    """Undo `encode_attribute`; what others wrote becomes plain values.

    >>> decode_attribute('json:{"a": null}'), decode_attribute(b"sample A")
    ({'a': None}, 'sample A')
    """
    value = None if isinstance(value, h5py.Empty) else plain(value)
    if isinstance(value, str) and value.startswith(JSON_MARK):
        return json.loads(value.removeprefix(JSON_MARK))
    return value


def _open_dataset(
    path: Path, source: str, name: str, order: tuple[int, ...]
) -> tuple[ArrayLike, Callable[[], None]]:
    file = open_file(path, source)
    dataset = cast(h5py.Dataset, file[name])
    return ordered(dataset, order, dataset.ndim), file.close


def _find_dataset(file: h5py.File, location: Location) -> h5py.Dataset:
    place = location.source
    found = file if location.dataset is None else follow(file, location.dataset, place)
    if isinstance(found, h5py.Dataset):
        return found
    if not isinstance(found, h5py.Group):
        raise DataError(place, "no such dataset in the file.", _offer(file, location))
    datasets = [d for d in list_datasets(found) if d.shape is not None and len(d.shape) >= 2]
    if len(datasets) == 1:
        return datasets[0]
    if not datasets:
        raise DataError(place, "holds no dataset that could be a volume.", _offer(file, location))
    raise DataError(place, f"holds {len(datasets)} datasets.", _offer(file, location))


def _offer(file: h5py.File, location: Location) -> str:
    datasets = list_datasets(file)
    if not datasets:
        links = list_links(file)
        if links:
            return f"It holds links. Name one: {', '.join(links[:AT_MOST_LISTED])}."
        return "The file holds no dataset at all: check that it is the right one."
    names = [str(d.name).lstrip("/") for d in datasets]
    hint = did_you_mean(location.dataset, names) if location.dataset else ""
    lines = [f"{location.path}::{n}  {_summary(d)}" for n, d in zip(names, datasets, strict=True)]
    if len(lines) > AT_MOST_LISTED:
        lines = [*lines[:AT_MOST_LISTED], f"… and {len(lines) - AT_MOST_LISTED} more"]
    suggestion = f"{hint} " if hint.startswith("Did") else ""
    return f"{suggestion}Name one of them:\n    " + "\n    ".join(lines)


def _summary(dataset: h5py.Dataset) -> str:
    shape = "empty" if dataset.shape is None else size_text(dataset.shape)
    return f"({shape}, {dataset.dtype})"


def what_is_at(path: Path, name: str, source: str) -> str:
    """What the HDF5 file holds under `name`: "dataset", "group" or "nothing"."""
    with open_file(path, source) as file:
        found = follow(file, name, source)
        if found is None:
            return "nothing"
        return "dataset" if isinstance(found, h5py.Dataset) else "group"
