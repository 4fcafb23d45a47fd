"""Whether the sections of a volume lie along its first axis, as they have to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from connectomics.data.io import LazyVolume
from connectomics.data.io.hdf5 import states_axes
from connectomics.data.io.location import format_of, parse_location
from connectomics.data.volumes import LabelledVolume
from connectomics.errors import Fault, warn
from connectomics.geometry import Box, Triple
from connectomics.process.called import python_to_type

DEEPER = 1.4
"""How many times more sections differ from each other than pixels do, at least, where they are
thicker than these (twice in real EM): else they lie along another axis."""

THICKER = 1.5
"""How many times as thick as pixels are wide sections are, at least, to tell them apart by."""

SHORTER = 2
"""How many times as long as the axis of sections the others are, at least, where nobody says how
thick sections are."""

LOOKED_AT = (16, 96, 96)
"""Voxels (z, y, x) in the middle; few along the first axis, as files hold whole sections."""


def warn_of_axes(volumes: Iterable[LabelledVolume]) -> None:
    """Warn of volumes whose sections seem to lie along another axis than the first."""
    for volume in volumes:
        for doubt in axis_doubts(volume):
            warn(doubt.where, doubt.problem, doubt.remedy)


def axis_doubts(volume: LabelledVolume) -> Iterator[Fault]:
    """Whether sections seem to lie along another axis than the first.

    Neighbours across sections differ more than neighbours within one, where sections are thicker
    than pixels are wide by half or more. Where no voxel size is known, the axis has to be the
    shortest as well. Of voxels that are as thick as wide nothing can be told.
    """
    size = volume.resolution
    if min(volume.shape) < 2 or (size and size[0] < THICKER * max(size[1:])):
        return
    middle = volume.image.read(_middle(volume.shape)).astype(np.float32)
    steps = [float(np.abs(np.diff(middle, axis=axis)).mean()) for axis in range(3)]
    deepest = int(np.argmax(steps))
    others = [axis for axis in range(3) if axis != deepest]
    if deepest == 0 or steps[deepest] < DEEPER * max(steps[axis] for axis in others):
        return
    shortest = SHORTER * volume.shape[deepest] <= min(volume.shape[axis] for axis in others)
    if size is None and not shortest:
        return
    last = deepest == 2
    yield Fault(
        volume.source,
        f"its sections seem to lie along its {'last' if last else 'second'} axis, as in "
        f"{'(x, y, z) or (y, x, z)' if last else '(y, z, x) or (x, z, y)'}: neighbours differ most "
        f"there ({steps[deepest]:.3g}, against {steps[others[0]]:.3g} and {steps[others[1]]:.3g} "
        "along the others).",
        "Volumes are read as (z, y, x). In HDF5 and Zarr an attribute of the dataset says how it "
        f"is stored: axes = '{'xyz' if last else 'yzx'}' or '{'yxz' if last else 'xzy'}', for "
        f"labels too. Else transpose both.{_how_to_say(volume, 'xyz' if last else 'yzx')}",
    )


def _middle(shape: Triple) -> Box:
    """Where it is looked at."""
    lengths = [min(pair) for pair in zip(shape, LOOKED_AT, strict=True)]
    z, y, x = ((whole - part) // 2 for whole, part in zip(shape, lengths, strict=True))
    depth, height, width = lengths
    return Box((0, 0, 0), (depth, height, width)).shift((z, y, x))


def _how_to_say(volume: LabelledVolume, axes: str) -> str:
    """What to type for it, where image and labels are HDF5 that says nothing of its axes yet."""
    typed = ["import h5py"]
    for part in filter(None, (volume.image, volume.label)):
        if not isinstance(part, LazyVolume):
            return ""
        location = parse_location(part.source)
        if format_of(location) != "hdf5":
            return ""
        if states_axes(location, part.dataset):
            return f" What {part.source} says of its axes already has to be corrected with it."
        dataset = f"h5py.File({str(location.path)!r}, 'r+')[{part.dataset!r}]"
        typed.append(f"{dataset}.attrs['axes'] = {axes!r}")
    return "\n    " + python_to_type("; ".join(typed))
