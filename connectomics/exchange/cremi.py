"""CREMI: adult fly, clefts, neurons and partners of samples A, B and C.

Its files are read as they are: the marks of background (2⁶⁴-1) and of voxels that do not count
(2⁶⁴-2), neuron ids, partners, resolution and offset. So they are checked and put in place. Of a
padded file, whose image reaches beyond its labels, what is labelled is cut out.
"""

from __future__ import annotations

import math
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from connectomics.data.annotations import read_annotations
from connectomics.data.io import LazyVolume, open_volume
from connectomics.data.processing.marks import CREMI_BACKGROUND, CREMI_INVALID
from connectomics.errors import DataError, reading
from connectomics.exchange.records import Account, Bounds, Dataset, Material, RemoteFile, nm_text
from connectomics.exchange.slabs import converting, read_slabs, write_slabs
from connectomics.files import write_hdf5
from connectomics.geometry import Box, VoxelGrid
from connectomics.process.progress import Progress

SAMPLES = {
    "A": "4c563d1b78acb2bcfb3ea958b6fe1533422f7f4a19f3e05b600bfa11430b510d",
    "B": "887e85521e00deead18c94a21ad71f278d88a5214c7edeed943130a1f4bb48b8",
    "C": "2874496f224d222ebc29d0e4753e8c458093e1d37bc53acd1b69b19ed1ae7052",
}
SHAPE = (125, 1250, 1250)
RESOLUTION = (40.0, 4.0, 4.0)
RAW, CLEFTS, NEURONS = "volumes/raw", "volumes/labels/clefts", "volumes/labels/neuron_ids"
NAME = re.compile(r"sample[_-]?([ABC])(\+|%2B)?[_-].*\.(?:hdf5?|h5)", re.IGNORECASE)
REMEDY = "It should be a training sample of CREMI, such as sample_A_20160501.hdf."


def convert(material: Material, folder: Path) -> Account:
    """Check the samples and put them in place.

    Raises:
        DataError: There is none, or one is not what its name says.
    """
    account = Account()
    samples = _samples(material, account)
    if not samples:
        listed = ", ".join(str(place) for place in list(material.files)[:10]) or "nothing"
        problem = f"holds no training sample. It holds {listed}."
        raise DataError(material.source, problem, REMEDY)
    opened = {letter: _volumes(path) for letter, path in sorted(samples.items())}
    passes = [v.shape for v in opened.values() for _ in range(1 + v.padded)]
    with converting(passes) as progress:
        for letter, volumes in opened.items():
            path, name = samples[letter], file_name(letter)
            account.differs += [f"{name}: {text}" for text in _checked(path, volumes.clefts)]
            holds = _describe(path, volumes.clefts, progress)
            if volumes.padded:
                _crop(path, folder / name, volumes, progress)
                account.differs.append(
                    f"{name}: what is labelled of {path.name} {volumes.raw.shape}"
                )
            else:
                _place(path, folder / name, ours=material.ours)
            account.made[name] = holds
    return account


def file_name(letter: str) -> str:
    """What the tutorials call a sample."""
    return f"sample_{letter}_20160501.hdf"


def _samples(material: Material, account: Account) -> dict[str, Path]:
    samples: dict[str, Path] = {}
    for place, path in sorted(material.files.items()):
        match = NAME.fullmatch(place.name)
        letter = match[1].upper() if match else ""
        if match is None or match[2]:
            what = "a test volume, without labels" if match else "no sample by its name"
            account.differs.append(f"{place} is not used: {what}")
        elif letter in samples:
            account.differs.append(f"{place} is not used: another file is sample {letter}")
        else:
            samples[letter] = path
            if place.name != file_name(letter):
                account.differs.append(f"{place} stands for {file_name(letter)}")
    return samples


class _Volumes(NamedTuple):
    raw: LazyVolume
    clefts: LazyVolume

    @property
    def shape(self) -> tuple[int, ...]:
        return self.clefts.shape

    @property
    def padded(self) -> bool:
        return self.raw.shape != self.clefts.shape


def _volumes(path: Path) -> _Volumes:
    """Image and clefts of a sample.

    Raises:
        DataError: They are not there, or no volumes.
    """
    try:
        raw, clefts = open_volume(f"{path}::{RAW}"), open_volume(f"{path}::{CLEFTS}")
    except DataError as error:
        first = error.faults[0]
        raise DataError(first.where, first.problem, REMEDY) from error
    if len(raw.shape) != 3 or len(clefts.shape) != 3:
        problem = f"its image has shape {raw.shape}, its clefts {clefts.shape}."
        raise DataError(str(path), problem, REMEDY)
    if raw.resolution != clefts.resolution or raw.resolution is None:
        problem = f"image and clefts state voxel sizes of {raw.resolution} and {clefts.resolution}."
        raise DataError(str(path), problem, REMEDY)
    if raw.shape != clefts.shape:
        box = _labelled_part(raw, clefts)
        if box.start == (0, 0, 0) or not box.fits_in(raw.shape):
            problem = (
                f"its image has shape {raw.shape}, its clefts {clefts.shape} at {box.start}: they "
                "do not fit together."
            )
            raise DataError(str(path), problem, REMEDY)
    return _Volumes(raw, clefts)


def _labelled_part(raw: LazyVolume, clefts: LazyVolume) -> Box:
    """Where the clefts of a padded file lie in its image."""
    assert raw.resolution is not None
    shift = np.subtract(clefts.offset_nm, raw.offset_nm) / raw.resolution
    start = tuple(int(n) for n in np.rint(shift))
    return Box((0, 0, 0), clefts.shape).shift(start)  # type: ignore[arg-type]


def _checked(path: Path, clefts: LazyVolume) -> list[str]:
    """What is not as in the published samples.

    Raises:
        DataError: Its partners do not fit together.
    """
    found = []
    if clefts.shape != SHAPE:
        found.append(f"the shape is {clefts.shape}, and {SHAPE} is known")
    if clefts.resolution != RESOLUTION:
        found.append(f"the voxel size is {clefts.resolution} nm, and {RESOLUTION} is known")
    if clefts.dtype != np.uint64:
        found.append(f"clefts are {clefts.dtype}, and uint64 is known")
    with reading(str(path), REMEDY), h5py.File(path) as file:
        if NEURONS not in file:
            found.append("there are no neuron ids")
    if not read_annotations(str(path)).pre_nm.size:
        found.append("there are no partners")
    return found


class _Clefts(NamedTuple):
    number: int
    background: float
    invalid: float


def _describe(path: Path, clefts: LazyVolume, progress: Progress) -> str:
    with clefts:
        counted = _count(clefts, progress)
    partners = len(read_annotations(str(path)).pre_nm)
    size = nm_text(clefts.resolution or ())
    text = f"{clefts.shape}, {size}, {counted.number} clefts, {partners} partners"
    return f"{text}; {counted.invalid:.2%} does not count" if counted.invalid else text


def _count(clefts: LazyVolume, progress: Progress) -> _Clefts:
    """How many clefts there are, slab by slab as they are many bytes."""
    ids: set[int] = set()
    counts: dict[int, int] = dict.fromkeys((CREMI_BACKGROUND, CREMI_INVALID), 0)
    for _, values in read_slabs(clefts, progress):
        for value, count in zip(*np.unique(values, return_counts=True), strict=True):
            if int(value) in counts:
                counts[int(value)] += int(count)
            else:
                ids.add(int(value))
    if not counts[CREMI_BACKGROUND]:  # cast, or cleaned: 0 is background
        ids.discard(0)
    total = math.prod(clefts.shape)
    return _Clefts(len(ids), counts[CREMI_BACKGROUND] / total, counts[CREMI_INVALID] / total)


def _place(path: Path, target: Path, *, ours: bool) -> None:
    if ours:
        with suppress(OSError):  # a disk without links
            target.hardlink_to(path)
            return
    shutil.copyfile(path, target)


def _crop(path: Path, target: Path, volumes: _Volumes, progress: Progress) -> None:
    """Write a padded sample without what is not labelled."""
    clefts = volumes.clefts
    with volumes.raw.crop(_labelled_part(volumes.raw, clefts)) as raw:
        write_slabs(
            f"{target}::{RAW}",
            raw,
            progress,
            grid=VoxelGrid(raw.resolution, clefts.offset_nm),
        )
    with h5py.File(path) as source, write_hdf5(target) as (file, check):
        for group in ("volumes/labels", "annotations"):
            if group in source:
                source.copy(group, file, group)
                check()


def _remote(letter: str, sha256: str) -> RemoteFile:
    name = file_name(letter)
    return RemoteFile(
        name, f"https://cremi.org/static/data/{name}", sha256=sha256, known_from="torch-em"
    )


CREMI = Dataset(
    name="cremi",
    title="CREMI: adult fly, cleft labels, neurons and partners, 40 x 4 x 4 nm",
    files=tuple(_remote(letter, sha256) for letter, sha256 in SAMPLES.items()),
    folder=Path("datasets/cremi"),
    needed=tuple(map(file_name, SAMPLES)),
    licence="The files state none. https://cremi.org names the terms of use.",
    citation=(
        "Funke, Saalfeld, Bock, Turaga, Perlman, CREMI: MICCAI Challenge on Circuit Reconstruction "
        "from Electron Microscopy Images, https://cremi.org."
    ),
    homepage="https://cremi.org/data/",
    tutorials=("syn_cremi",),
    convert=convert,
    bounds=Bounds(file=8 * 2**30, unpacked=32 * 2**30, members=100),
)
