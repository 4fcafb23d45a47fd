"""Training samples: patches of volumes, as tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from connectomics.data.augmentation import Augmenter
from connectomics.data.augmentation.warp import Origins
from connectomics.data.counting import label_boxes, read_label
from connectomics.data.foreground import DenseForegroundTable
from connectomics.data.io import LazyVolume
from connectomics.data.processing.labels import CleanLabel
from connectomics.data.processing.marks import NO_MARKS, Marks
from connectomics.data.processing.normalize import ImageStatistics, normalize
from connectomics.data.sampling import PatchSampler
from connectomics.data.survey import marks_of
from connectomics.data.volumes import LabelledVolume, MemoryVolume, Volume
from connectomics.errors import DataError
from connectomics.geometry import Box, Triple

Sample = dict[str, Tensor]
Target = Callable[[np.ndarray], np.ndarray]
Normalization = Literal["0-1", "z-score", "none"]


@dataclass(frozen=True)
class PatchSource:
    """A volume as patches are cut from it.

    Attributes:
        volume: Image, labels and perhaps a mask.
        statistics: Of the grey values.
        marks: Values of the labels that are no ids; looked for in the labels unless given.
    """

    volume: LabelledVolume
    statistics: ImageStatistics
    marks: Marks | None = None

    @property
    def shape(self) -> Triple:
        """`(Z, Y, X)` voxels."""
        return self.volume.shape

    @property
    def label(self) -> Volume:
        """The ground truth, as on disk.

        Raises:
            DataError: There is none.
        """
        if self.volume.label is None:
            raise DataError(self.volume.source, "has no labels.", "Name its label file.")
        return self.volume.label

    @property
    def nbytes(self) -> int:
        """Memory it would take if it were `cached`, its table of foreground included."""
        parts = (self.volume.image, self.label, self.volume.mask)
        voxel = sum(part.dtype.itemsize for part in parts if part is not None)
        return math.prod(self.shape) * (voxel + DenseForegroundTable.BYTES_PER_VOXEL)

    @property
    def remote(self) -> bool:
        """Whether reading a patch takes a way over a network."""
        parts = (self.volume.image, self.volume.label, self.volume.mask)
        return any(isinstance(part, LazyVolume) and part.remote for part in parts)

    def cached(self) -> PatchSource:
        """The same, held in memory, with its labels cleaned once."""
        label, mask = self.read_label()
        counting = self.volume.mask or self.label  # which of the two says what counts
        grid, origin = self.volume.grid, self.volume.origin
        volume = replace(
            self.volume,
            image=MemoryVolume(self.volume.source, self.volume.image.read(), grid, origin),
            label=MemoryVolume(self.label.source, label, grid, origin),
            mask=None if mask is None else MemoryVolume(counting.source, mask, grid, origin),
        )
        return replace(self, volume=volume, marks=NO_MARKS)

    def read_label(self, box: Box | None = None) -> CleanLabel:
        """Read the labels of a box, and which of them count; see `counting.read_label`."""
        return read_label(self.volume, box, marks=self._marks)

    def foreground(self, box: Box | None = None) -> np.ndarray:
        """Voxels of a box that are labelled and count, as bool."""
        label, counts = self.read_label(box)
        return label > 0 if counts is None else (label > 0) & counts

    def boxes(self) -> list[Box]:
        """All of the volume; see `counting.label_boxes`."""
        return label_boxes(self.volume)

    def has_mask(self) -> bool:
        """Whether there may be voxels that do not count; may look through the labels."""
        given = self.volume.mask is not None
        if given or not self._marks.ignored:
            return given
        return any(self.read_label(box).mask is not None for box in self.boxes())

    @cached_property
    def _marks(self) -> Marks:
        """One decision for the whole volume: a patch alone may hold nothing to tell it by."""
        return marks_of(self.label) if self.marks is None else self.marks


@dataclass(frozen=True)
class SampleMaker:
    """Turns a place in a volume into a sample.

    Attributes:
        patch_size: `(z, y, x)` voxels.
        normalization: How grey values become network input.
        target: From labels `(Z, Y, X)` to what the network learns, `(C, Z, Y, X)`.
        augmenter: Moves and changes training patches.
        with_mask: Whether samples have a mask; then a volume without one counts everywhere.
    """

    patch_size: Triple
    normalization: Normalization
    target: Target
    augmenter: Augmenter
    with_mask: bool = False

    def sample(self, source: PatchSource, start: Triple, rng: np.random.Generator) -> Sample:
        """Read, normalise and augment one patch, and make its target.

        What lies around the patch is read along, as far as the volume has it and what was drawn
        looks at it.

        Args:
            source: The volume.
            start: First voxel of the patch there.
            rng: The chance of the augmentation.

        Returns:
            "image" (1, Z, Y, X), "label" (C, Z, Y, X) and, `with_mask`, "mask" (1, Z, Y, X),
            all float32.
        """
        origins = self.augmenter.draw(self.patch_size, rng)
        box = _looked_at(origins, start, source.shape)
        label, mask = source.read_label(box)
        if self.with_mask:
            mask = np.ones(label.shape, np.uint8) if mask is None else mask.astype(np.uint8)
        image, label, mask = self.augmenter.apply(
            origins,
            normalize(source.volume.image.read(box), source.statistics, self.normalization),
            label,
            mask,
            patch_start=Box(start, start).shift([-s for s in box.start]).start,
            rng=rng,
            value_range=self.value_range(source),
        )
        sample = {"image": image[None], "label": self.target(label)}
        if mask is not None:
            sample["mask"] = mask[None]
        return {name: _tensor(array) for name, array in sample.items()}

    def value_range(self, source: PatchSource) -> tuple[float, float]:
        """What black and white of a volume become by normalisation."""
        ends = np.array([source.statistics.low, source.statistics.high])
        if self.normalization == "none":  # which goes by the dtype
            ends = ends.astype(source.volume.image.dtype)
        black, white = normalize(ends, source.statistics, self.normalization)
        return float(black), float(white)


def _looked_at(origins: Origins, start: Triple, shape: Triple) -> Box:
    """The box of a volume that a patch looks at, where it begins at `start` if nothing moves it.

    Beyond the border is the mirror image of what is within, which is read along.
    """
    firsts, stops = [], []
    for offset, low, high, length in zip(start, *origins.reach(), shape, strict=True):
        first, stop = offset + low, offset + high
        stop = max(stop, 1 - first)
        first = min(first, 2 * length - 1 - stop)
        firsts.append(min(max(first, 0), length - 1))
        stops.append(max(min(stop, length), 1))
    return Box((firsts[0], firsts[1], firsts[2]), (stops[0], stops[1], stops[2]))


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


class PatchDataset(Dataset[Sample]):
    """Patches drawn at random: sample `i` depends on the seed and on `i`, and on nothing else.

    So a run gives the same patches with any number of workers, and after any number of
    interruptions.

    Args:
        sources: The volumes.
        sampler: Draws a volume and a place in it.
        maker: Makes the sample.
        seed: Of everything that is drawn.
    """

    def __init__(
        self,
        sources: Sequence[PatchSource],
        sampler: PatchSampler,
        maker: SampleMaker,
        *,
        seed: int,
    ) -> None:
        self.sources = tuple(sources)
        self.sampler = sampler
        self.maker = maker
        self.seed = seed

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng([self.seed, index])
        volume, start = self.sampler.draw(rng)
        return self.maker.sample(self.sources[volume], start, rng)


class FixedPatchDataset(Dataset[Sample]):
    """The same patches every time, for validation: half of them on something labelled.

    Args:
        sources: The volumes.
        sampler: Draws places; its tables find what is labelled.
        maker: Makes the sample, without augmentation.
        length: How many patches.
    """

    def __init__(
        self,
        sources: Sequence[PatchSource],
        sampler: PatchSampler,
        maker: SampleMaker,
        *,
        length: int,
    ) -> None:
        self.sources = tuple(sources)
        self.maker = maker
        rng = np.random.default_rng(0)  # not the run's seed: runs are compared on one ground
        self.places = []
        for index in range(length):
            on_foreground = sampler.draw_on_foreground(rng) if index % 2 == 0 else None
            self.places.append(on_foreground or sampler.draw(rng))

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Sample:
        volume, start = self.places[index]
        return self.maker.sample(self.sources[volume], start, np.random.default_rng(0))
