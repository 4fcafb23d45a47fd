"""Volumes as they are given from Python: arrays, files, and parts of volumes."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from connectomics.data.checks import open_on_one_grid
from connectomics.data.io import open_volume
from connectomics.data.volumes import LabelledVolume, MemoryVolume, Volume
from connectomics.errors import DataError
from connectomics.geometry import VoxelGrid

Source = ArrayLike | str | os.PathLike[str] | Volume
"""A `(Z, Y, X)` array, a file as a config would name it, such as `raw.h5::volumes/raw`, or a volume
from `open_volume`, or part of one."""

IN_MEMORY = "array in memory, given from Python"


def _is_file(source: Source) -> bool:
    return isinstance(source, str | os.PathLike)


def named(source: Source) -> str:
    """What the config says of a volume."""
    return os.fspath(source) if isinstance(source, str | os.PathLike) else IN_MEMORY


def volume_of(name: str, source: Source, resolution: Sequence[float] | None = None) -> Volume:
    """A volume of what is given.

    Args:
        name: What messages call it.
        source: The voxels.
        resolution: nm per voxel (z, y, x) of a file that does not say it.

    Raises:
        DataError: It is no volume of numbers.
    """
    volume: Volume
    if isinstance(source, Volume):
        volume = source
    elif isinstance(source, str | os.PathLike):
        size = None if resolution is None else _three(resolution)
        volume = open_volume(os.fspath(source), resolution=size)
    else:
        volume = MemoryVolume(name, np.asarray(source))
    if len(volume.shape) != 3 or 0 in volume.shape or volume.dtype.kind not in "biuf":
        problem = f"has shape {volume.shape} and type {volume.dtype}."
        raise DataError(name, problem, _one_volume(volume.shape))
    return volume


def _one_volume(shape: Sequence[int]) -> str:
    """What to give instead of an array of another shape."""
    if len(shape) == 4 and shape[0] == 1:
        return "Give a (Z, Y, X) volume: without its first axis, array[0]."
    if len(shape) == 4 and shape[-1] in (1, 3, 4):
        return "Give a (Z, Y, X) volume: one channel of it, array[..., 0]."
    if len(shape) == 4:
        return "Give one (Z, Y, X) volume; several are trained on from a config (data.train.image)."
    if len(shape) == 2:
        return "Give a (Z, Y, X) volume: of one section, array[None]."
    return "Give a (Z, Y, X) volume of numbers."


def labelled_volume(
    name: str, image: Source, label: Source, resolution: Sequence[float] | None
) -> LabelledVolume:
    """Image and labels on one grid.

    Raises:
        DataError: They are of other shapes, or known to lie elsewhere.
    """
    if _is_file(image) and _is_file(label):
        files = {"image": named(image), "label": named(label)}
        size = None if resolution is None else _three(resolution)
        _, faults = open_on_one_grid(files, resolution=size, integers=["label"])
        if faults:
            raise DataError.of(faults)
    volume, labels = volume_of("image", image, resolution), volume_of("label", label, resolution)
    if volume.shape != labels.shape:
        problem = f"has shape {labels.shape}, and the image {volume.shape}."
        raise DataError("label", problem, "Give labels of the same voxels.")
    if isinstance(image, Volume) and isinstance(label, Volume):
        _require_one_place(image, label)
    if resolution is not None:
        volume = volume.with_grid(VoxelGrid(_three(resolution), volume.offset_nm))
    return LabelledVolume(name, volume, labels)


def _require_one_place(image: Volume, label: Volume) -> None:
    """Parts of two volumes have to be the same part; places are compared where both state one."""
    stated = [getattr(one, "placed", False) for one in (image, label)]
    size = image.resolution or label.resolution or (1.0, 1.0, 1.0)
    if all(stated) or (not any(stated) and image.resolution == label.resolution):
        places = (image.offset_nm, label.offset_nm)
    else:
        places = (image.origin, label.origin)
        size = (1.0, 1.0, 1.0)
    apart = [abs(a - b) / n for a, b, n in zip(*places, size, strict=True)]
    if max(apart) > 0.5:
        problem = f"begins {tuple(round(n, 1) for n in apart)} voxels from the image (z, y, x)."
        raise DataError("label", problem, "Give the same part of both.")


def _three(resolution: Sequence[float]) -> tuple[float, float, float]:
    z, y, x = (float(n) for n in resolution)
    return z, y, x
