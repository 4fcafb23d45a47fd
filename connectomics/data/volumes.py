"""Volumes that carry their place, and an image with its labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from connectomics.geometry import NOWHERE, Box, Nm, Triple, VoxelGrid


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
