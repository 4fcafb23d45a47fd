"""Reading HDF5: a file with one dataset, or `file.h5::volumes/raw`."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import h5py

from connectomics.data.io.header import (
    ArrayLike,
    Header,
    Opener,
    check_array,
    native,
    plain,
    size_text,
    split_attributes,
)
from connectomics.data.io.location import Location
from connectomics.errors import DataError, did_you_mean

# A window of a sliding pass touches few chunks, again and again: keep them decompressed.
CHUNK_CACHE_BYTES = 16 * 2**20
AT_MOST_LISTED = 20

# HDF5 has no word for nested values: they are kept as JSON behind this mark.
JSON_MARK = "json:"


def inspect(location: Location) -> tuple[Header, Opener]:
    """Read the header of a dataset.

    CREMI's attributes are understood: `resolution` and `offset`, both in nm and (z, y, x).

    Raises:
        DataError: The file cannot be read as HDF5; there is no such dataset, or several and
            none was named; or the dataset is not a volume.
    """
    with open_file(location.path, location.source) as file:
        dataset = _find_dataset(file, location)
        check_array(location.source, dataset.shape, dataset.dtype)
        _check_filters(location.source, dataset)
        stated = {key: decode_attribute(value) for key, value in dataset.attrs.items()}
        resolution, offset_nm, attributes = split_attributes(location.source, stated)
        header = Header(
            shape=dataset.shape,
            dtype=native(dataset.dtype),
            resolution=resolution,
            offset_nm=offset_nm,
            attributes=attributes,
            chunks=dataset.chunks and dataset.chunks[-3:],
            dataset=str(dataset.name),
        )
    return header, partial(_open_dataset, location.path, location.source, header.dataset)


def open_file(path: Path, source: str) -> h5py.File:
    """Open an HDF5 file for reading.

    Raises:
        DataError: It is no HDF5 file, is cut short or damaged, or may not be read.
    """
    try:
        # Locks fail on many network file systems, and nothing here needs one to read.
        return h5py.File(path, "r", locking="best-effort", rdcc_nbytes=CHUNK_CACHE_BYTES)
    except PermissionError as error:
        raise DataError(source, "may not be read.", "Check the file's permissions.") from error
    except OSError as error:
        raise DataError(
            source,
            f"cannot be read as HDF5: {_reason(error)}.",
            "The file is incomplete, damaged or of another format: copy or download it again.",
        ) from error


def list_datasets(group: h5py.Group) -> list[h5py.Dataset]:
    """All datasets below a group, in order of their names."""
    found: list[h5py.Dataset] = []

    def collect(_: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found.append(item)

    group.visititems(collect)
    return found


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


def _open_dataset(path: Path, source: str, name: str) -> tuple[ArrayLike, Callable[[], None]]:
    file = open_file(path, source)
    return cast(h5py.Dataset, file[name]), file.close


def _find_dataset(file: h5py.File, location: Location) -> h5py.Dataset:
    place = location.source
    found = file if location.dataset is None else file.get(location.dataset)
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


def _check_filters(source: str, dataset: h5py.Dataset) -> None:
    properties = dataset.id.get_create_plist()
    for index in range(properties.get_nfilters()):
        code, _, _, name = properties.get_filter(index)
        if not h5py.h5z.filter_avail(code):
            label = name.decode(errors="replace") or "unnamed"
            raise DataError(
                source,
                f"is compressed with {label} (HDF5 filter {code}), which is not installed.",
                "Rewrite it with gzip where it can be read: h5repack -f GZIP=1 OLD NEW.",
            )


def _reason(error: OSError) -> str:
    text = str(error)
    # h5py wraps the cause in "Unable to open file (cause)"; the cause alone is clearer.
    return text.partition("(")[2].rpartition(")")[0] or text


def what_is_at(path: Path, name: str, source: str) -> str:
    """What the HDF5 file holds under `name`: "dataset", "group" or "nothing"."""
    with open_file(path, source) as file:
        if name not in file:
            return "nothing"
        return "dataset" if isinstance(file[name], h5py.Dataset) else "group"
