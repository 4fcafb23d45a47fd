"""Writing labels as a precomputed volume, chunk by chunk."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomics.data.io.downsampling import downsample
from connectomics.data.io.pyramid import Pyramid, halving, scaled, smaller
from connectomics.data.io.volume import open_volume
from connectomics.errors import DataError, warn
from connectomics.geometry import Box, Triple, VoxelGrid
from connectomics.neuroglancer.volume import Scale, describe, encode, first_voxel, label_type

COARSEST = 256
"""Voxels across, from which on no coarser scale is made."""


def write_labels(
    folder: Path,
    read: Callable[[Box], NDArray[Any]],
    shape: Triple,
    dtype: np.dtype[Any],
    *,
    grid: VoxelGrid,
) -> None:
    """Write labels, each chunk once for each of several scales; never more than some in memory.

    Coarser scales follow by the rule for labels of `downsampling.py`.

    Args:
        folder: To be made.
        read: Gives the ids in a box.
        shape: (Z, Y, X).
        dtype: Of the ids.
        grid: Where the voxels lie; the format knows whole voxels, of a size.

    Raises:
        DataError: There is a negative id.
        OSError: The disk is full.
    """
    assert grid.resolution is not None
    first = first_voxel(grid)
    axes = zip(grid.offset_nm, grid.resolution, first, strict=True)
    apart = [abs(offset / size - voxel) for offset, size, voxel in axes]
    if max(apart) > 0.01:
        problem = f"begins {max(apart):.2g} voxels away from where its offset says."
        warn(str(folder), problem, "A precomputed volume begins at a whole voxel.")
    scales = list(_scales(Scale(shape, first, grid.resolution)))
    folder.mkdir(parents=True)
    described = describe(scales, label_type(np.dtype(dtype)), labels=True)
    (folder / "info").write_text(json.dumps(described, indent=1))
    for i, scale in enumerate(scales):
        (folder / scale.key).mkdir()
        finer = read if i == 0 else _halved(folder, scales[i - 1], scale)
        for box in _chunks(scale):
            values = finer(box)
            if values.dtype.kind == "i" and values.min(initial=0) < 0:
                raise DataError(str(folder), "a label is negative.", "Ids are 0 and above.")
            (folder / scale.key / scale.file_name(box)).write_bytes(encode(values, labels=True))


def _scales(finest: Scale) -> Iterator[Scale]:
    """Each half as fine as the one before along those axes that are finest."""
    scale = finest
    while True:
        yield scale
        if max(scale.shape) <= COARSEST:
            return
        factors = halving(scale.shape, scale.resolution)
        z, y, x = (n // f for n, f in zip(scale.first, factors, strict=True))
        shape, resolution = smaller(scale.shape, factors), scaled(scale.resolution, factors)
        scale = Scale(shape, (z, y, x), resolution, scale.chunk)


def _halved(folder: Path, finer: Scale, scale: Scale) -> Callable[[Box], NDArray[Any]]:
    volume = open_volume(f"{folder}::{finer.key}")
    factors = halving(finer.shape, finer.resolution)
    pyramid = Pyramid("mode", (factors,))

    def read(box: Box) -> NDArray[Any]:
        start = [a * f for a, f in zip(box.start, factors, strict=True)]
        ends = zip(box.stop, factors, finer.shape, strict=True)
        stop = [min(b * f, n) for b, f, n in ends]
        values = volume.read(Box(tuple(start), tuple(stop)))  # pyright: ignore
        return downsample(values, pyramid)[0]

    return read


def _chunks(scale: Scale) -> Iterator[Box]:
    starts = (range(0, n, c) for n, c in zip(scale.shape, scale.chunk, strict=True))
    for start in itertools.product(*starts):
        ends = zip(start, scale.chunk, scale.shape, strict=True)
        yield Box(start, tuple(min(a + c, n) for a, c, n in ends))  # pyright: ignore
