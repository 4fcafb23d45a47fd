"""Opening HDF5 files, and whether what they promise is there.

HDF5 reads as 0 what is missing, and says nothing. A dataset may be a link, may be put together
from other files (virtual), or lie in files that are no HDF5 (external). As a file could so name
any file of its reader's, nothing is followed out of it, but into the folder of a virtual dataset.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, NamedTuple

import h5py

from connectomics.data.io.header import Gaps
from connectomics.errors import DataError

# A window of a sliding pass touches few chunks, again and again: keep them decompressed.
CHUNK_CACHE_BYTES = 16 * 2**20

COPY = "Copy the voxels to a file of their own, where they can be read: new['raw'] = old['raw'][()]"

# Numbers that HDF5 gives to kinds of links and of selections.
HARD, SOFT, EXTERNAL = 0, 1, 64
HYPERSLABS = 2

LINKS_IN_A_ROW = 32
VIRTUAL_IN_A_ROW = 8

# Filters that other software uses, by the number that the file gives. Few files give names.
FILTERS = {
    305: "LZO",
    307: "bzip2",
    32001: "Blosc",
    32004: "LZ4",
    32008: "Bitshuffle",
    32013: "ZFP",
    32015: "Zstandard",
    32017: "SZ",
    32024: "SZ3",
    32026: "Blosc2",
    32028: "Sperr",
}

Node = h5py.Group | h5py.Dataset | h5py.Datatype


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


def _reason(error: OSError) -> str:
    text = str(error)
    # h5py wraps the cause in "Unable to open file (cause)"; the cause alone is clearer.
    return text.partition("(")[2].rpartition(")")[0] or text


def follow(file: h5py.File, name: str, source: str) -> Node | None:
    """Find what is under a name, without leaving the file.

    Args:
        file: Open for reading.
        name: Of a group or dataset, from the root.
        source: The volume, for messages.

    Returns:
        What is there, or None.

    Raises:
        DataError: A link on the way leads to another file, to nothing, or in a circle.
    """
    found: Node = file["/"]
    left, links = _parts(name.encode()), 0
    while left:
        part = left.pop(0)
        if not isinstance(found, h5py.Group) or not found.id.links.exists(part):
            if links:
                problem = f"{name!r} is a link that leads nowhere: there is no {part.decode()!r}"
                remedy = "Name another dataset, or copy or download the file again."
                raise DataError(source, f"{problem} in {found.name}.", remedy)
            return None
        kind = found.id.links.get_info(part).type
        if kind == SOFT:
            links += 1
            target = found.id.links.get_val(part)
            if links > LINKS_IN_A_ROW:
                raise DataError(source, f"{name!r} is a link in a circle.", "Name another dataset.")
            left = _parts(target) + left
            found = file["/"] if target.startswith(b"/") else found
        elif kind == HARD:
            found = found[part]
        else:
            raise _other_file(found, part, kind, left, source)
    return found


def _parts(name: bytes) -> list[bytes]:
    return [part for part in name.split(b"/") if part not in (b"", b".")]


def _other_file(
    group: h5py.Group, part: bytes, kind: int, below: list[bytes], source: str
) -> DataError:
    name = part.decode(errors="replace")
    if kind != EXTERNAL:
        return DataError(source, f"{name!r} is a link of an unknown kind.", COPY)
    file, path = (text.decode(errors="replace") for text in group.id.links.get_val(part))
    inside = "/".join([path.strip("/"), *(part.decode(errors="replace") for part in below)])
    return DataError(
        source,
        f"{name!r} is a link into another file, which is not followed: {file}::{inside}.",
        "If that is the volume that you mean, name it so.",
    )


class Place(NamedTuple):
    """A dataset of an open file.

    Attributes:
        path: Of the file.
        dataset: In it.
        source: The volume that is asked for, for messages.
    """

    path: Path
    dataset: h5py.Dataset
    source: str


def check_stored(place: Place, *, depth: int = 0) -> Gaps | None:
    """Make sure that the voxels of a dataset are there to be read.

    Args:
        place: The dataset.
        depth: How many virtual datasets led here.

    Returns:
        How much of it was never written, or None where all was.

    Raises:
        DataError: It lies in a file outside, or in files that are missing or elsewhere; none of it
            was ever written; or a filter to read it with is not installed.
    """
    dataset, source = place.dataset, place.source
    properties = dataset.id.get_create_plist()
    if properties.get_external_count():
        name = properties.get_external(0)[0].decode(errors="replace")
        raise DataError(
            source,
            f"keeps its voxels outside, in {name}, which is not read: it could be any file.",
            COPY,
        )
    if dataset.is_virtual:
        return _check_virtual(place, depth)
    _check_filters(source, properties)
    if dataset.size and not dataset.id.get_storage_size():
        problem = f"{dataset.name} has a shape and no voxels: none was ever written."
        raise DataError(source, problem, "Write the file again, or copy or download it again.")
    if dataset.chunks is None:
        return None
    chunks = math.prod(-(-n // c) for n, c in zip(dataset.shape, dataset.chunks, strict=True))
    return Gaps.of_count(chunks - dataset.id.get_num_chunks(), chunks, "chunks", dataset.fillvalue)


def _check_filters(source: str, properties: h5py.h5p.PropDCID) -> None:
    for index in range(properties.get_nfilters()):
        code, _, _, given = properties.get_filter(index)
        if not h5py.h5z.filter_avail(code):
            label = given.decode(errors="replace") or FILTERS.get(code, "unnamed")
            raise DataError(
                source,
                f"is compressed with {label} (HDF5 filter {code}), which is not installed.",
                "Rewrite it with gzip where it can be read (the Python package hdf5plugin reads "
                "many): h5repack -f GZIP=1 OLD NEW.",
            )


def _check_virtual(place: Place, depth: int) -> Gaps | None:
    dataset, source = place.dataset, place.source
    if depth == VIRTUAL_IN_A_ROW:
        problem = f"is virtual, and put together from virtual datasets more than {depth} deep."
        raise DataError(source, problem, COPY)
    gaps, covered, seen = None, 0, set()
    for part in dataset.virtual_sources():
        covered += part.vspace.get_select_npoints()
        if (part.file_name, part.dset_name) in seen:
            continue
        seen.add((part.file_name, part.dset_name))
        path = _source_file(place, part.file_name)
        with open_file(path, source) as file:
            found = follow(file, part.dset_name, source)
            if not isinstance(found, h5py.Dataset):
                raise _missing(source, f"{part.file_name}::{part.dset_name}")
            if not _holds(found, part):
                problem = f"takes voxels of {part.file_name}::{part.dset_name} that it has not."
                raise DataError(source, problem, "Make the virtual dataset anew.")
            gaps = check_stored(Place(path, found, source), depth=depth + 1) or gaps
    voxels = math.prod(dataset.shape)
    return Gaps.of_count(voxels - covered, voxels, "voxels", dataset.fillvalue) or gaps


def _holds(found: h5py.Dataset, part: Any) -> bool:
    """Whether a dataset holds what a virtual one takes of it."""
    if part.src_space.get_select_type() != HYPERSLABS:  # all of it
        return math.prod(found.shape) == part.vspace.get_select_npoints()
    last = part.src_space.get_select_bounds()[1]
    return len(last) == found.ndim and all(i < n for i, n in zip(last, found.shape, strict=True))


def _source_file(place: Place, name: str) -> Path:
    """Where a virtual dataset's source is: in its own file, or below its folder."""
    if name == ".":
        return place.path
    folder = Path(os.path.normpath(Path.cwd() / place.path.parent))
    path = Path(os.path.normpath(folder / name))
    if not path.is_relative_to(folder):
        raise DataError(
            place.source,
            f"is virtual, and a part of it lies elsewhere, which is not followed: {name}.",
            f"Put that file beside it and make the dataset anew. Or: {COPY}",
        )
    if not path.is_file():
        raise _missing(place.source, name)
    return path


def _missing(source: str, name: str) -> DataError:
    problem = f"is virtual, and a part of it is missing: {name}. It would be read as 0."
    return DataError(source, problem, "Put it where it belongs, beside the file.")
