"""Where a volume is: the `path::dataset` way of writing it, and help when nothing is there."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from connectomics.errors import DataError
from connectomics.naming import at_home
from connectomics.process.called import python_to_type

DATASETS = "datasets"
PUBLIC = "For the public datasets: python scripts/download_data.py NAME (datasets/README.md)."
SEPARATOR = "::"
WILDCARDS = "*?["

HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf")
TIFF_SUFFIXES = (".tif", ".tiff")
ZARR_SUFFIX = ".zarr"
ZARR_MARKERS = ("zarr.json", ".zarray", ".zgroup")
N5_SUFFIX, N5_MARKER = ".n5", "attributes.json"
PRECOMPUTED_MARKER = "info"
SUPPORTED = (
    "HDF5 (.h5, .hdf5, .hdf), Zarr (.zarr), N5 (.n5), Neuroglancer's precomputed volumes, "
    "TIFF (.tif, .tiff), a folder of sections"
)

REMOTE = ("s3", "gs", "https", "http")
"""Where a store may lie besides the file system."""

# Neuroglancer writes the format before an address, or behind it after a bar.
FORMAT_PREFIX = re.compile(r"^(precomputed|zarr|zarr2|zarr3|n5)://(?=[a-z0-9]+://)")
FORMAT_SUFFIX = re.compile(r"/?\|(neuroglancer-precomputed|zarr|zarr2|zarr3|n5):/*$")


@dataclass(frozen=True)
class Location:
    """A volume's place, taken apart.

    Attributes:
        source: As the user wrote it.
        path: The file or folder; of a web address only good for names.
        dataset: The array inside it, or None.
        alias: A name of its own, where the user named it by a link.
        url: The web address of a store, without the dataset; empty for what is on disk.
    """

    source: str
    path: Path
    dataset: str | None = None
    alias: str = ""
    url: str = ""

    @property
    def name(self) -> str:
        """A short name for tables and file names.

        >>> parse_location("data/sample_A.h5::volumes/raw").name
        'sample_A_volumes_raw'
        >>> parse_location("stack1/raw/*.png").name, parse_location("em.ome.zarr").name
        ('raw', 'em')
        """
        if self.alias:
            return self.alias
        path = self.path.parent if has_wildcards(self.path) else self.path
        if path.suffix.lower() in (*HDF5_SUFFIXES, *TIFF_SUFFIXES, ZARR_SUFFIX, N5_SUFFIX):
            stem = path.stem.removesuffix(".ome")
        else:
            stem = path.name or path.resolve().name
        return f"{stem}_{self.dataset.replace('/', '_')}" if self.dataset else stem


def parse_location(source: str | Path) -> Location:
    """Take `path` or `path::dataset` apart.

    A path that leads into a store or an HDF5 file is taken for what `::` would name there:
    `store.zarr/0` for `store.zarr::0`, and `em.h5/raw` for `em.h5::raw`.

    Raises:
        DataError: It is empty, or a web address of another kind than those of `REMOTE`.

    >>> parse_location("a.h5::volumes/raw").dataset, parse_location("a.h5").dataset
    ('volumes/raw', None)
    >>> found = parse_location("s3://scans/em.zarr/volumes/raw")
    >>> found.url, found.dataset, found.name
    ('s3://scans/em.zarr', 'volumes/raw', 'em_volumes_raw')
    """
    location = split_source(source)
    if location.url:
        return _inside_url(location)
    try:
        if found := _inside(location, location.path):
            return found
        if found := _inside(location, location.path.resolve()):  # the path is a link
            return replace(found, alias=location.name)
    except (OSError, ValueError):  # whoever opens it says why it cannot be
        pass
    return location


def _inside(location: Location, path: Path) -> Location | None:
    """Name by dataset what a path leads to in a store or HDF5 file; None where it does not."""
    absolute = path.resolve() if ".." in path.parts else path.absolute()
    root = _container(absolute)
    if root is None:
        return None
    up = len(absolute.parts) - len(root.parts)
    inside = [*absolute.parts[-up:], *filter(None, [location.dataset])]
    written = up < len(path.parts) and ".." not in path.parts
    root = path.parents[up - 1] if written else root
    return replace(location, path=root, dataset="/".join(inside))


def _inside_url(location: Location) -> Location:
    """Take the store in a web address, which its suffix tells, from what lies inside it."""
    scheme, _, place = location.url.partition("://")
    parts = place.rstrip("/").split("/")
    for i, part in enumerate(parts[:-1], 1):
        if part.lower().endswith((ZARR_SUFFIX, N5_SUFFIX)):
            url = f"{scheme}://{'/'.join(parts[:i])}"
            inside = "/".join([*parts[i:], *filter(None, [location.dataset])])
            return replace(location, url=url, path=Path(url), dataset=inside)
    return location


def split_source(source: str | Path) -> Location:
    """Take `path` or `path::dataset` apart, whatever is there.

    Raises:
        DataError: It is empty, a web address of another kind than those of `REMOTE`, or in the
            home of somebody who has none.

    >>> split_source("precomputed://gs://bucket/em").url, split_source("file:///a%20b").path.name
    ('gs://bucket/em', 'a b')
    """
    text = str(source)
    bare = FORMAT_SUFFIX.sub("", FORMAT_PREFIX.sub("", text))
    path, _, dataset = bare.partition(SEPARATOR)
    if not path:
        raise DataError("volume", f"{text!r} names no file.", "Write FILE or FILE::DATASET.")
    inside = dataset.strip("/") or None
    scheme, is_url, place = path.partition("://")
    match scheme.lower() if is_url else "":
        case "":
            return Location(text, _at_home(text, path), inside)
        case "file" if place.startswith(("/", "localhost/")):
            return Location(text, Path(unquote(place.removeprefix("localhost"))), inside)
        case "file":
            raise DataError(
                text,
                "is no address of a file on this machine.",
                "Write file:///absolute/path, or the path alone.",
            )
        case known if known in REMOTE and place.strip("/"):
            url = f"{known}://{place.rstrip('/')}"
            return Location(text, Path(url), inside, url=url)
    raise DataError(
        text,
        "is no web address that is read.",
        f"Write {', '.join(f'{name}://…' for name in REMOTE)}; or download it and give its path.",
    )


def _at_home(text: str, path: str) -> Path:
    try:
        return Path(at_home(path))
    except ValueError as error:
        raise DataError(text, f"{error}.", "Write the path out.") from error


def _container(path: Path) -> Path | None:
    """The store or HDF5 file that a path leads into, from outside; None where it does not."""
    if path.is_file():
        return None
    root = None
    if is_zarr_store(path):
        for parent in path.parents:
            if not is_zarr_store(parent):
                break
            root = parent
    for parent in path.parents:
        named = parent.suffix.lower() == ZARR_SUFFIX and is_zarr_store(parent)
        named |= parent.suffix.lower() == N5_SUFFIX and parent.is_dir()
        named |= is_precomputed(parent)
        if named or (parent.suffix.lower() in HDF5_SUFFIXES and parent.is_file()):
            root = parent
    return root


def has_wildcards(path: Path) -> bool:
    """Whether the last part of the path is a pattern, and no file of that very name exists."""
    return any(mark in path.name for mark in WILDCARDS) and not path.exists()


def is_there(source: str | Path) -> bool:
    """Whether the file or folder of a volume exists, or any section of a pattern does.

    Of a web address it is assumed.
    """
    location = parse_location(source)
    path = location.path
    return (
        bool(location.url)
        or path.exists()
        or (has_wildcards(path) and any(path.parent.glob(path.name)))
    )


Format = Literal["hdf5", "zarr", "n5", "precomputed", "tiff", "sections", "remote"]


def format_of(location: Location) -> Format:
    """Tell the format of what is there, by suffix; of folders also by what they hold.

    "remote" is a store at a web address, whose format only a look at it tells.

    Raises:
        DataError: There is no such file, its suffix is unknown, or an array is named where
            there are no named arrays.
    """
    if location.url:
        return "remote"
    path, suffix = location.path, location.path.suffix.lower()
    pattern = has_wildcards(path)
    if not pattern:
        _check_exists(location)
    if path.is_dir() and (store := _format_of_store(path)):
        return store
    if path.is_file() and suffix in HDF5_SUFFIXES:
        return "hdf5"
    if location.dataset is not None:
        raise DataError(
            location.source,
            f"there is no {location.dataset!r} in it: only HDF5 and stores have named arrays.",
            f"Write {path} alone.",
        )
    if pattern or path.is_dir():
        return "sections"
    if suffix in TIFF_SUFFIXES:
        return "tiff"
    shown = repr(suffix) if suffix else "no suffix"
    remedy = f"Supported: {SUPPORTED}.{_from_numpy(path) if suffix == '.npy' else ''}"
    raise DataError(location.source, f"unknown format ({shown}).", remedy)


def _from_numpy(path: Path) -> str:
    """What to type to make HDF5 of an array of NumPy's."""
    saved = f"h5py.File({str(path.with_suffix('.h5'))!r}, 'x')['data'] = numpy.load({str(path)!r})"
    return f" To make one:\n    {python_to_type(f'import h5py, numpy; {saved}')}"


def _format_of_store(path: Path) -> Format | None:
    """The format of a folder that holds arrays; None where it holds none."""
    suffix = path.suffix.lower()
    if suffix == ZARR_SUFFIX or is_zarr_store(path):
        return "zarr"
    if suffix == N5_SUFFIX or (path / N5_MARKER).is_file():
        return "n5"
    return "precomputed" if is_precomputed(path) else None


def is_precomputed(path: Path) -> bool:
    """Whether a folder is a volume of Neuroglancer's, which says so in a file `info`.

    A file of that name may be anybody's: what counts is that it names scales.
    """
    info = path / PRECOMPUTED_MARKER
    try:
        return info.is_file() and b'"scales"' in info.read_bytes()[: 2**20]
    except OSError:
        return False


def is_zarr_store(path: Path) -> bool:
    """Whether a folder is a Zarr array or group."""
    return any((path / marker).is_file() for marker in ZARR_MARKERS)


def _check_exists(location: Location) -> None:
    path = location.path
    if path.exists():
        return
    public = f" {PUBLIC}" if path.parts[0] == DATASETS else ""
    if path.parent.is_dir():
        raise DataError(location.source, "no such file.", f"{_near_names(path)}{public}")
    while not path.parent.exists():
        path = path.parent
    if path.parent.is_file():
        inside = location.path.relative_to(path.parent)
        remedy = f"To name an array inside it write {path.parent}{SEPARATOR}{inside}."
        raise DataError(location.source, f"{str(path.parent)!r} is a file, not a folder.", remedy)
    problem = f"no folder {str(path)!r}."
    raise DataError(location.source, problem, f"{_near_names(path)}{public}")


def _near_names(path: Path, at_most: int = 6) -> str:
    folder = path.parent
    names = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.6)
    if near:
        return f"Did you mean {' or '.join(repr(str(folder / name)) for name in near)}?"
    if not names:
        return f"The folder {str(folder)!r} is empty; check the path."
    listed = ", ".join(names[:at_most]) + (", …" if len(names) > at_most else "")
    return f"Check the path. {str(folder)!r} holds {listed}."
