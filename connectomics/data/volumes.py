"""Volumes that carry their place, an image with its labels, and how it is divided."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np

from connectomics.errors import DataError
from connectomics.geometry import NOWHERE, Box, Nm, Triple, VoxelGrid

SPARED = 6
"""At most one in so many sections is left out between two parts of a volume, if that is enough."""


class Volume(ABC):
    """A (Z, Y, X) volume that knows where it lies, and slices like an array without being read.

    On disk it is a `LazyVolume`, in memory a `MemoryVolume`. `np.asarray(volume)` reads it.

    Attributes:
        name: Short name for tables and file names.
        source: What messages call it: the file and dataset, as the user wrote them.
        shape: Its size in voxels.
        dtype: Of its voxels.
        grid: Where its voxels lie.
        origin: Voxel (z, y, x) of the stored array at which this part of it begins.

    >>> volume = MemoryVolume("em", np.arange(24).reshape(2, 3, 4), VoxelGrid((30, 8, 8)))
    >>> part = volume[1:, :, 2:]
    >>> part.shape, part.offset_nm, part.origin, np.asarray(part)[0, 0].tolist()
    ((1, 3, 2), (30.0, 0.0, 16.0), (1, 0, 2), [14, 15])
    """

    name: str
    source: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    grid: VoxelGrid
    origin: Triple

    @abstractmethod
    def read(self, box: Box | None = None) -> np.ndarray:
        """Read a box inside the volume, or everything."""

    @abstractmethod
    def crop(self, box: Box) -> Self:
        """The part inside `box` as a volume of its own, with its place moved along."""

    def with_grid(self, grid: VoxelGrid) -> Self:
        """The same voxels in another place."""
        placed = copy(self)
        placed.grid = grid
        return placed

    @property
    def resolution(self) -> Nm | None:
        """Nm per voxel (z, y, x), or None where nobody says."""
        return self.grid.resolution

    @property
    def offset_nm(self) -> Nm:
        """Position of voxel (0, 0, 0) in nm (z, y, x)."""
        return self.grid.offset_nm

    def __getitem__(self, index: Any) -> Self:
        return self.crop(Box.of_index(index, self.shape[-3:]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.read(), dtype, copy=copy)


@dataclass
class MemoryVolume(Volume):
    """An array that can be used where a volume on disk can.

    Attributes:
        name: As of the volume it came from.
        array: `(Z, Y, X)`.
        grid: Where its voxels lie.
        origin: Voxel (z, y, x) of a larger array at which it begins.
    """

    name: str
    array: np.ndarray
    grid: VoxelGrid = NOWHERE
    origin: Triple = (0, 0, 0)

    @property
    def source(self) -> str:
        """What messages call it."""
        return self.name

    @property
    def shape(self) -> tuple[int, ...]:
        """Its size in voxels."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its voxels."""
        return self.array.dtype

    def read(self, box: Box | None = None) -> np.ndarray:
        """Give a view of a box, or of everything."""
        return self.array if box is None else self.array[box.slices]

    def crop(self, box: Box) -> Self:
        """The part inside `box`, without copying it."""
        return replace(
            self,
            array=self.array[box.slices],
            grid=self.grid.at(box.start),
            origin=box.shift(self.origin).start,
        )


@dataclass(frozen=True)
class LabelledVolume:
    """An image with what is known about it; all on one grid.

    Attributes:
        name: For tables and file names.
        image: Grey values. Its place is that of all the others.
        label: Ground truth, or None.
        mask: 0 where voxels do not count, or None where all do.
        neurons: Neuron ids that decoding is to know of, or None.
        annotations: A file with the sites of true synapses (`read_annotations`), or None.
        synthetic: Whether it is a phantom, which is to be said wherever results are shown.
    """

    name: str
    image: Volume
    label: Volume | None = None
    mask: Volume | None = None
    neurons: Volume | None = None
    annotations: str | None = None
    synthetic: bool = False

    @property
    def source(self) -> str:
        """What messages call it: its image, as the user wrote it."""
        return self.image.source

    @property
    def shape(self) -> Triple:
        """`(Z, Y, X)` voxels."""
        depth, height, width = self.image.shape
        return depth, height, width

    @property
    def grid(self) -> VoxelGrid:
        """Where its voxels lie."""
        return self.image.grid

    @property
    def resolution(self) -> Nm | None:
        """Nm per voxel (z, y, x), or None where nobody says."""
        return self.grid.resolution

    @property
    def origin(self) -> Triple:
        """Voxel (z, y, x) of the image's file at which it begins, where it is a part of one."""
        return self.image.origin

    def crop(self, box: Box) -> LabelledVolume:
        """The part inside `box`."""
        parts = {
            name: part.crop(box)
            for name in ("image", "label", "mask", "neurons")
            if (part := getattr(self, name)) is not None
        }
        return replace(self, **parts)


class Division(NamedTuple):
    """A training volume in two parts that share no voxel.

    Attributes:
        learned: What is learned from.
        held: What is held back to validate on.
        axis: Along which they lie.
    """

    learned: Box
    held: Box
    axis: int

    @property
    def gap(self) -> int:
        """Voxels between the parts, along the axis."""
        return self.held.start[self.axis] - self.learned.stop[self.axis]

    @property
    def length(self) -> int:
        """Voxels of the whole volume, along the axis."""
        return self.held.stop[self.axis]

    def described(self, origin: Triple = (0, 0, 0)) -> str:
        """What is done with which voxels, for a log.

        Args:
            origin: Of the volume in its file.

        >>> division = divide("em", (20, 64, 64), (4, 32, 32), 0.15)
        >>> division.described()
        'sections 0-11 are learned from, 16-19 held back to validate on, 4 between left out'
        """
        first = origin[self.axis]
        stop, start = self.learned.stop[self.axis], self.held.start[self.axis]
        return (
            f"{('sections', 'rows', 'columns')[self.axis]} {first}-{first + stop - 1} are learned "
            f"from, {first + start}-{first + self.length - 1} held back to validate on, "
            f"{self.gap} between left out"
        )


def hold_back(
    volume: LabelledVolume, patch_size: Triple, fraction: float, gap: Triple | None = None
) -> tuple[LabelledVolume, LabelledVolume]:
    """Split a training volume in two: one part to learn from, one to validate on.

    Args:
        volume: A volume with labels.
        patch_size: See `divide`.
        fraction: See `divide`.
        gap: See `divide`.

    Returns:
        The part for training and the part for validation.

    Raises:
        DataError: Two patches fit side by side along no axis.

    >>> volume = LabelledVolume("em", MemoryVolume("em", np.zeros((20, 64, 64))))
    >>> train, val = hold_back(volume, (4, 32, 32), 0.15)
    >>> train.shape, val.shape
    ((12, 64, 64), (4, 64, 64))
    """
    learned, held, _ = divide(volume.source, volume.shape, patch_size, fraction, gap)
    return volume.crop(learned), volume.crop(held)


def divide(
    where: str, shape: Triple, patch_size: Triple, fraction: float, gap: Triple | None = None
) -> Division:
    """Find the part of a volume to learn from, and the part to hold back for validation.

    The last sections are held back. Where patches leave too few sections for that, it is the
    last rows, and failing that the last columns: of the axes along which both parts hold a
    patch, the one along which least has to be held back. What lies between the parts is left
    out, a patch wide, so that no synapse is in both and no validation patch looks at what was
    learned; less only where the volume has no room for it along any axis. Where `gap` says how
    wide that has to be, the axis is the one along which most is left to learn from.

    Args:
        where: The volume, for the message.
        shape: `(Z, Y, X)` of the volume.
        patch_size: `(z, y, x)`; both parts hold at least one patch.
        fraction: Share to hold back, 0 to 1; more if a patch needs more.
        gap: `(z, y, x)` voxels between the parts, along whichever axis; a patch unless given.

    Raises:
        DataError: Two patches fit side by side along no axis.

    >>> learned, held, axis = divide("em", (20, 64, 64), (4, 32, 32), 0.15)
    >>> learned.stop, held.start, axis
    ((12, 64, 64), (16, 0, 0), 0)
    >>> divide("em", (20, 64, 64), (4, 32, 32), 0.15, (2, 9, 9)).learned.stop
    (14, 64, 64)
    """
    choices = []
    widths = patch_size if gap is None else gap
    for axis, (length, patch) in enumerate(zip(shape, patch_size, strict=True)):
        held = max(patch, math.ceil(fraction * length))
        between = min(widths[axis], length - held - patch)
        if between >= 0:
            # Without `gap`, runs of before hold back what they held back.
            cost = held if gap is None else held + between
            choices.append((1 - between / widths[axis], cost / length, axis, held, between))
    if not choices:
        raise DataError(
            where,
            f"shape {shape} leaves no room to hold back a validation patch of "
            f"{patch_size} beside a training patch of the same size.",
            "Name validation volumes in data.val, or reduce data.dataloader.patch_size.",
        )
    _, _, axis, held, between = min(choices)
    start, stop = [0, 0, 0], list(shape)
    start[axis] = shape[axis] - held
    stop[axis] = start[axis] - between
    return Division(Box((0, 0, 0), _triple(stop)), Box(_triple(start), shape), axis)


def _triple(values: Sequence[int]) -> Triple:
    z, y, x = values
    return z, y, x
