"""Labels that may be larger than memory: read block by block, each voxel in one block.

An array is one block. Of a volume on disk the blocks lie along its chunks and hold a bounded
number of voxels, so that what is read at a time depends neither on its depth nor on its width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from connectomics.errors import DataError
from connectomics.geometry import Box, Triple, block_boxes, block_shape, whole
from connectomics.mapping import Part, map_blocks

BLOCK_VOXELS = 2**23
"""The most voxels that are read at a time, where chunks allow: a second's work, under 100 MiB."""

_CREMI_MARKS = 2
"""How many of the largest numbers are marks in CREMI's labels: background is the largest."""


@runtime_checkable
class LabelVolume(Protocol):
    """A (Z, Y, X) volume of whole numbers that is read by box, such as one on disk."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its size in voxels."""
        ...

    def read(self, box: Box) -> np.ndarray:
        """Read a box inside the volume."""
        ...


Labels = np.ndarray | LabelVolume
"""(Z, Y, X) labels, in memory or on disk."""


class PairBlock(NamedTuple):
    """A part of two label volumes.

    Attributes:
        box: Where it lies; None where it is all there is.
        shape: Of the volume.
        truth: Labels of the part.
        prediction: Labels of the part.
        mask: Of the part and the voxels around it, 0 where voxels are unlabelled; None where
            all are labelled.
        inner: Where in `mask` the part lies.
    """

    box: Box | None
    shape: tuple[int, ...]
    truth: np.ndarray
    prediction: np.ndarray
    mask: np.ndarray | None
    inner: tuple[slice, ...]

    @property
    def labelled(self) -> np.ndarray | None:
        """The mask of the part alone."""
        return None if self.mask is None else self.mask[self.inner]

    def faces(self) -> Iterator[tuple[int, int]]:
        """Axis and position in the part of each face of the volume that it reaches."""
        for axis, length in enumerate(self.shape):
            start, stop = (
                (0, length) if self.box is None else (self.box.start[axis], self.box.stop[axis])
            )
            if length > 1 and start == 0:
                yield axis, 0
            if length > 1 and stop == length:
                yield axis, length - 1 - start


def map_pairs(
    work: Callable[[PairBlock], Part], truth: Labels, prediction: Labels, mask: Labels | None
) -> Iterator[Part]:
    """Go through two label volumes and a mask together, see `map_blocks`.

    Args:
        work: Looks at a part of both.
        truth: Labels.
        prediction: Labels.
        mask: 0 where voxels are unlabelled.

    Raises:
        DataError: The shapes differ.
    """
    check_shapes(truth, prediction, mask)
    if all(isinstance(one, np.ndarray) for one in (truth, prediction, mask) if one is not None):
        everything = (slice(None),) * len(truth.shape)
        yield work(PairBlock(None, truth.shape, truth, prediction, mask, everything))  # pyright: ignore
        return
    boxes = blocks_of(truth, prediction, mask)
    yield from map_blocks(
        partial(_at_pair, work, truth, prediction, mask), boxes, "labels compared"
    )


def _at_pair(
    work: Callable[[PairBlock], Part],
    truth: Labels,
    prediction: Labels,
    mask: Labels | None,
    box: Box,
) -> Part:
    around = box.grow(1).clip(truth.shape)
    first = read(truth, box)
    block = PairBlock(
        box,
        tuple(truth.shape),
        first,
        first if prediction is truth else read(prediction, box),
        None if mask is None else read(mask, around),
        Box(*_shifted(box, around)).slices,
    )
    return work(block)


def check_shapes(truth: Labels, prediction: Labels, mask: Labels | None) -> None:
    """Refuse volumes that do not cover the same voxels.

    Raises:
        DataError: The shapes differ.
    """
    for name, other in (("prediction", prediction), ("mask", mask)):
        if other is not None and tuple(other.shape) != tuple(truth.shape):
            raise DataError(
                f"evaluation: {name}",
                f"its shape is {other.shape}, the truth's is {truth.shape}.",
                "Both must cover the same voxels; crop or resample one of them.",
            )


def read(labels: Labels, box: Box) -> np.ndarray:
    """A box of labels: a view of an array, or read from disk."""
    return labels[box.slices] if isinstance(labels, np.ndarray) else labels.read(box)


def blocks_of(*volumes: Labels | None) -> list[Box]:
    """The blocks in which volumes of one shape are read together."""
    there = [one for one in volumes if one is not None]
    z, y, x = there[0].shape
    if all(isinstance(one, np.ndarray) for one in there):
        return [whole((z, y, x))]
    sections = (1, min(y, max(1, BLOCK_VOXELS // x)), x)
    chunks = [getattr(one, "chunks", None) or sections for one in there]
    together = np.max(chunks, axis=0).tolist()
    if math.prod(together) > BLOCK_VOXELS:  # such as of sections beside cubes
        together = max(chunks, key=math.prod)
    return block_boxes((z, y, x), block_shape((z, y, x), together, BLOCK_VOXELS))


def values_at(labels: Labels, voxels: np.ndarray) -> np.ndarray:
    """The labels of single voxels.

    Args:
        labels: (Z, Y, X).
        voxels: (n, 3) places (z, y, x) inside.
    """
    if isinstance(labels, np.ndarray):
        return labels[tuple(voxels.T)]
    found = np.zeros(len(voxels), np.uint64)
    block = np.asarray(blocks_of(labels)[0].shape)
    corners, which = np.unique(voxels // block * block, axis=0, return_inverse=True)
    order = np.argsort(which.reshape(-1), kind="stable")
    starts = np.searchsorted(which.reshape(-1)[order], np.arange(1, len(corners)))
    rows = np.split(order, starts) if len(corners) else []
    places = [voxels[some] for some in rows]
    boxes = [Box(tuple(p.min(0).tolist()), tuple((p.max(0) + 1).tolist())) for p in places]
    parts = map_blocks(partial(_values_in, labels), boxes, "labels looked up", places)
    for some, part in zip(rows, parts, strict=True):
        found[some] = part["values"]
    return found


def _values_in(labels: LabelVolume, box: Box, voxels: np.ndarray) -> Part:
    return {"values": labels.read(box)[tuple((voxels - box.start).T)]}


def _shifted(box: Box, around: Box) -> tuple[Triple, Triple]:
    inner = box.shift(tuple(-a for a in around.start))
    return inner.start, inner.stop


def unsigned(labels: np.ndarray) -> np.ndarray:
    """The same bytes read as unsigned: one compiled kernel per width instead of two."""
    if not labels.dtype.isnative:
        labels = labels.astype(labels.dtype.newbyteorder("="))
    return labels.view(f"u{labels.dtype.itemsize}")


def check_labels(name: str, labels: np.ndarray, mask: np.ndarray | None = None) -> None:
    """Refuse labels that are not whole numbers from 0, and marks that are no objects.

    Args:
        name: "truth" or "prediction", for messages.
        labels: Of any shape.
        mask: Same shape; marks are of no matter where it is 0.

    Raises:
        DataError: Float or negative labels, or CREMI's marks.
    """
    if labels.dtype.kind not in "biu":
        raise DataError(
            f"evaluation: {name}",
            f"its dtype is {labels.dtype}; labels are whole numbers.",
            "Decode probabilities into labels first, or store the labels as integers.",
        )
    if labels.dtype.kind == "i" and labels.min(initial=0) < 0:
        raise DataError(
            f"evaluation: {name}",
            f"it holds negative labels (smallest {labels.min()}).",
            "Background is 0 and objects are positive; mark voxels to leave out in a mask.",
        )
    bits = 8 * labels.dtype.itemsize
    lowest = 2**bits - _CREMI_MARKS
    if labels.dtype.kind == "u" and bits >= 32 and labels.max(initial=0) >= lowest:
        marked = labels >= lowest
        if np.any(marked if mask is None else marked & (mask != 0)):
            raise DataError(
                f"evaluation: {name}",
                f"it holds CREMI's marks, 2**{bits} - 1 (background) or 2**{bits} - 2 (invalid).",
                "Set the first to 0 and leave the second out by the mask. With the first, 0 is an "
                "object: connectomics.data.processing.clean_label knows both.",
            )
