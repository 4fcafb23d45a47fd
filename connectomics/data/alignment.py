"""Whether volumes that are to lie on one grid do, by what their files say of themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from connectomics.data.annotations import read_annotations
from connectomics.data.io import LazyVolume
from connectomics.data.io.header import size_text
from connectomics.data.io.section_names import numbers_text
from connectomics.data.io.spacing import agree, are_reversed
from connectomics.data.volumes import Volume
from connectomics.errors import DataError, Fault, warn

# Volumes further apart than this are at different places. Less is rounding.
APART_VOXELS = 0.5

# Numbers of sections, voxel size and place: what each volume states is compared with the first
# that states it too, as the image itself may say nothing.
STATEMENTS = (
    lambda volume: bool(volume.sections),
    lambda volume: volume.resolution is not None,
    lambda volume: volume.placed,
)


def alignment_faults(volumes: Mapping[str, LazyVolume]) -> list[Fault]:
    """Find the volumes whose sections, shape, voxel size or place are not those of the first.

    Args:
        volumes: By what messages call them, such as `data.test.label`. What a file does not say
            agrees with everything.
    """
    named = [(name.rpartition(".")[2], volume) for name, volume in volumes.items()]
    (name, first), *others = named
    faults: list[Fault] = []
    for _, volume in others:
        numbered, sized, placed = (
            next((pair for pair in named if states(pair[1])), (name, first))
            for states in STATEMENTS
        )
        faults += [*_section_faults(volume, *numbered)] or [*_shape_faults(volume, name, first)]
        faults += _size_faults(volume, *sized)
        faults += _place_faults(volume, *placed)
    return faults


def require_alignment(image: Volume, made: LazyVolume) -> None:
    """Make sure that what lies in a run folder is of an image.

    Args:
        image: A volume on disk, or in memory, of which nothing more is known.
        made: Probabilities or labels that are said to be of it.

    Raises:
        DataError: Its shape, voxel size or place are another's.
    """
    if not isinstance(image, LazyVolume):
        return
    faults = alignment_faults({"image": image, "made": made})
    if faults:
        remedy = "It was made from something else: predict it again with --mode test."
        raise DataError.of(replace(fault, remedy=remedy) for fault in faults)


def _section_faults(volume: LazyVolume, name: str, first: LazyVolume) -> Iterator[Fault]:
    mine, theirs = volume.sections, first.sections
    if mine == theirs or not mine or not theirs:
        return
    parts = [
        f"{source} has no {numbers_text(missing)}"
        for source, missing in (
            (volume.source, sorted({*theirs} - {*mine})),
            (f"its {name} {first.source}", sorted({*mine} - {*theirs})),
        )
        if missing
    ]
    yield Fault(
        volume.source,
        f"its sections are not those of its {name}, by their numbers: {'; '.join(parts)}.",
        "Remove the sections that have no counterpart, or number them alike.",
    )


def _shape_faults(volume: LazyVolume, name: str, first: LazyVolume) -> Iterator[Fault]:
    mine, theirs = volume.shape[-3:], first.shape[-3:]
    if mine == theirs:
        return
    problem = f"has shape {volume.shape}, its {name} {first.source} {first.shape}."
    remedy = "Both must cover the same voxels: crop one of them."
    if mine == theirs[::-1]:
        remedy = (
            "One is in the order (x, y, z), and both have to be (z, y, x): transpose it, or, in "
            "HDF5 and Zarr, say so by an attribute of the dataset, axes = 'xyz'."
        )
    yield Fault(volume.source, problem, remedy)


def _size_faults(volume: LazyVolume, name: str, first: LazyVolume) -> Iterator[Fault]:
    mine, theirs = volume.resolution, first.resolution
    if mine is None or theirs is None or agree(theirs, mine):
        return
    slip = " One is in the order (x, y, z)." if are_reversed(theirs, mine) else ""
    yield Fault(
        volume.source,
        f"says {size_text(mine)} nm per voxel (z, y, x), its {name} {first.source} "
        f"{size_text(theirs)}.",
        f"Correct the file that is wrong, or bring both to one voxel size.{slip}",
    )


def _place_faults(volume: LazyVolume, name: str, first: LazyVolume) -> Iterator[Fault]:
    if not (volume.placed and first.placed):
        return
    apart = np.subtract(volume.offset_nm, first.offset_nm)
    voxels = np.abs(apart) / (first.resolution or volume.resolution or (1.0, 1.0, 1.0))
    if (voxels < APART_VOXELS).all():
        return
    slip = (
        " One is in the order (x, y, z)."
        if np.allclose(volume.offset_nm[::-1], first.offset_nm)
        else ""
    )
    yield Fault(
        volume.source,
        f"says that it begins at {size_text(volume.offset_nm)} nm (z, y, x), its {name} "
        f"{first.source} at {size_text(first.offset_nm)}.",
        f"Cut both from the same place, or correct the offset that is wrong.{slip}",
    )


def warn_of_sites(annotations: str, image: LazyVolume) -> None:
    """Warn where none of the annotated sites lies in the volume.

    Args:
        annotations: A file that `read_annotations` reads.
        image: What it is of.
    """
    sites = np.concatenate(read_annotations(annotations))
    if image.resolution is None or not len(sites):
        return

    def inside(points: np.ndarray) -> bool:
        voxel = image.grid.to_voxels(points)
        return bool(((voxel >= 0) & (voxel < image.shape)).all(axis=1).any())

    if inside(sites):
        return
    extent = [
        f"{start:g} to {start + size * length:g}"
        for start, size, length in zip(image.offset_nm, image.resolution, image.shape, strict=True)
    ]
    slips = {
        "in the order (x, y, z)": sites[:, ::-1],
        "in micrometres": sites * 1000,
        "in voxels": image.grid.to_nm(sites),
    }
    likely = [f" They look as if they were {what}." for what, p in slips.items() if inside(p)]
    warn(
        annotations,
        f"none of its {len(sites)} sites lies in {image.source}, which covers "
        f"{' x '.join(extent)} nm (z, y, x); the first lies at {size_text(sites[0])}.",
        f"Both have to be of the same tissue, and say their offset.{likely[0] if likely else ''}",
    )


def warn_of_range(where: str, z_range: Sequence[int], image: LazyVolume) -> None:
    """Warn where a range of sections seems to go by the numbers of their files."""
    numbers = image.sections
    if not numbers or not numbers[0] or tuple(z_range) != (numbers[0], numbers[-1]):
        return
    first, stop = z_range
    taken = numbers_text(numbers[first:stop][:1]) if first < stop <= len(numbers) else "none"
    warn(
        where,
        f"{list(z_range)} counts from 0, whatever the sections of {image.source} are numbered: the "
        f"first that it takes is {taken}.",
        f"All of them are [0, {len(numbers)}].",
    )
