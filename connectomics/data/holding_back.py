"""What is held back of a training volume, to validate on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from connectomics.data.volumes import LabelledVolume
from connectomics.errors import DataError
from connectomics.geometry import Box, Triple

SPARED = 6
"""At most one in so many sections is left out between two parts of a volume, if that is enough."""


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

    >>> import numpy as np
    >>> from connectomics.data.volumes import MemoryVolume
    >>> volume = LabelledVolume("em", MemoryVolume("em", np.zeros((20, 64, 64))))
    >>> train, val = hold_back(volume, (4, 32, 32), 0.15)
    >>> train.shape, val.shape
    ((12, 64, 64), (4, 64, 64))
    """
    learned, held, _ = divide(volume.source, volume.shape, patch_size, fraction, gap)
    return volume.crop(learned), volume.crop(held)


def described(
    volume: LabelledVolume, patch_size: Triple, fraction: float, gap: Triple | None
) -> tuple[str, list[str]]:
    """Say which part of a volume is learned from, and warn where the other lies too near.

    Args:
        volume: A training volume, of which `hold_back` holds a part back.
        patch_size: See `divide`.
        fraction: See `divide`.
        gap: See `divide`.
    """
    division = divide(volume.source, volume.shape, patch_size, fraction, gap)
    note = f"{volume.source}: {division.described(volume.origin)}"
    if gap is None and division.gap * SPARED > division.length:
        note += " (data.val_gap=[z,y,x] leaves out less: what a large synapse spans is enough)"
    wanted = (patch_size if gap is None else gap)[division.axis]
    if division.gap >= wanted:
        return note, []
    return note, [
        f"data.val: {volume.source} is too small to keep "
        f"{'a patch' if gap is None else f'{wanted} voxels'} between what is learned "
        f"and what is held back for validation; {division.gap} voxels lie between them, "
        "so scores of validation may be too good. Name validation volumes in data.val, or "
        "reduce data.dataloader.patch_size."
    ]


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
