"""Volumes passed on a slab of sections at a time, by which a conversion is counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomics.data.io import LazyVolume, create_volume
from connectomics.data.io.save import DEFAULT_CHUNKS
from connectomics.geometry import Box, VoxelGrid, block_boxes
from connectomics.process.progress import Progress


def converting(shapes: Iterable[Sequence[int]]) -> Progress:
    """Count a conversion.

    Args:
        shapes: Of each volume that it reads or writes, as often as it does.
    """
    return Progress("convert", sum(len(_slabs(shape)) for shape in shapes), rate="voxels")


def read_slabs(volume: LazyVolume, progress: Progress) -> Iterator[tuple[Box, NDArray[Any]]]:
    """Read a volume slab by slab."""
    for slab in _slabs(volume.shape):
        yield slab, volume.read(slab)
        progress.add(work=slab.size)


def read_counted(volume: LazyVolume, progress: Progress) -> NDArray[Any]:
    """Read a volume whole."""
    values = np.empty(volume.shape, volume.dtype)
    for slab, part in read_slabs(volume, progress):
        values[slab.slices] = part
    return values


def write_slabs(
    target: str | Path,
    source: LazyVolume | NDArray[Any],
    progress: Progress,
    *,
    grid: VoxelGrid,
) -> None:
    """Write a volume slab by slab.

    Args:
        target: See `create_volume`.
        source: (Z, Y, X); what is on disk is not read whole.
        progress: Counts it.
        grid: Where its voxels lie.

    Raises:
        DataError: As for `create_volume`.
    """
    shape, dtype = source.shape, source.dtype
    with create_volume(
        target, shape, dtype, resolution=grid.resolution, offset_nm=grid.offset_nm
    ) as writer:
        for slab in _slabs(shape):
            values = source[slab.slices] if isinstance(source, np.ndarray) else source.read(slab)
            writer.write(slab, values)
            progress.add(work=slab.size)


def _slabs(shape: Sequence[int]) -> list[Box]:
    """As deep as the pieces in which volumes are stored here."""
    return block_boxes(shape, (DEFAULT_CHUNKS[0], *shape[1:]))
