"""What was downloaded or named becomes materials: archives unpacked, single files together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import h5py

from connectomics.errors import DataError
from connectomics.exchange.records import Dataset, Material
from connectomics.exchange.unpack import AGAIN, is_archive, unpack

HDF5 = (".h5", ".hdf", ".hdf5")


def materials_of(
    dataset: Dataset, given: Sequence[Path], work: Path, *, ours: bool
) -> list[Material]:
    """Unpack archives; single files are one material together."""
    materials, single = [], {}
    for number, path in enumerate(given):
        if path.is_dir():
            files = {
                PurePosixPath(file.relative_to(path).as_posix()): file
                for file in sorted(path.rglob("*"))
                if file.is_file() and not any(p.startswith(".") for p in file.parts[-1:])
            }
            materials.append(Material(str(path), files))
        elif is_archive(path):
            folder = work / f"unpacked_{number}"
            folder.mkdir()
            print(f"download: unpacking {path}", flush=True)
            files = _unpacked(dataset, path, folder, ours=ours)
            materials.append(Material(str(path), files, ours=True))
        elif path.suffix.lower() not in HDF5 or not h5py.is_hdf5(path):
            raise _useless(dataset, path, f"is {_kind(path)}.", ours=ours)
        else:
            single[PurePosixPath(path.name)] = path
    if single:
        source = ", ".join(str(path) for path in single.values())
        materials.append(Material(source, single, ours=ours))
    return materials


def _unpacked(
    dataset: Dataset, path: Path, folder: Path, *, ours: bool
) -> dict[PurePosixPath, Path]:
    try:
        return unpack(path, folder, dataset.bounds)
    except DataError as error:
        if error.faults[0].remedy != AGAIN:
            raise
        raise _useless(dataset, path, error.faults[0].problem, ours=ours) from error


def _useless(dataset: Dataset, path: Path, problem: str, *, ours: bool) -> DataError:
    """Say that a file is damaged or another; a download is removed, as it would be in the way."""
    remedy = f"Download it again; {dataset.homepage} says from where."
    if ours:
        path.unlink()
        remedy = (
            "It has been removed: give the command again. Where that does not help, "
            f"{dataset.homepage} says from where to download it by hand: --from FILE"
        )
    return DataError(str(path), problem, remedy)


def _kind(path: Path) -> str:
    """What a file is that is neither archive nor HDF5."""
    with path.open("rb") as file:
        start = file.read(512)
    if not start:
        return "empty"
    if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
        return "a web page, not the file"
    if start.startswith(b"PK"):
        return "a damaged or incomplete zip file"
    if start.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS, not the file"
    return "no archive that is known here (zip, tar), or a damaged one"
