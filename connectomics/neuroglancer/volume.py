"""Volumes as Neuroglancer's precomputed format describes them: their `info`, and chunks of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomics.geometry import Box, Nm, Triple, VoxelGrid
from connectomics.neuroglancer import segmentation

CHUNK: Triple = (64, 64, 64)


@dataclass(frozen=True)
class Scale:
    """One resolution of a volume; everything as (z, y, x).

    Attributes:
        shape: In voxels.
        first: Voxel at which it begins.
        resolution: nm per voxel.
        chunk: Voxels of a chunk.
    """

    shape: Triple
    first: Triple
    resolution: Nm
    chunk: Triple = CHUNK

    @property
    def key(self) -> str:
        """Its folder.

        >>> Scale((20, 64, 64), (0, 0, 0), (30.0, 8.0, 4.6)).key
        '4.6_8_30'
        """
        return "_".join(f"{n:.10g}" for n in reversed(self.resolution))

    def file_name(self, box: Box) -> str:
        """The file of a chunk, which names the voxels it reaches from and to.

        >>> Scale((20, 64, 64), (5, 0, 0), (30.0, 8.0, 8.0)).file_name(Box((0, 0, 0), (20, 64, 64)))
        '0-64_0-64_5-25'
        """
        ends = zip(box.shift(self.first).start, box.shift(self.first).stop, strict=True)
        return "_".join(f"{a}-{b}" for a, b in reversed(list(ends)))

    def box_of(self, file_name: str) -> Box | None:
        """Undo `file_name`; None where it is the name of no chunk."""
        try:
            ends = [tuple(map(int, part.split("-"))) for part in reversed(file_name.split("_"))]
            (za, zb), (ya, yb), (xa, xb) = ends
            z, y, x = self.first
            box = Box((za, ya, xa), (zb, yb, xb)).shift((-z, -y, -x))
        except ValueError:
            return None
        aligned = all(a % c == 0 for a, c in zip(box.start, self.chunk, strict=True))
        fits = all(
            b == min(a + c, n)
            for a, b, c, n in zip(box.start, box.stop, self.chunk, self.shape, strict=True)
        )
        return box if aligned and fits and box.size and box.fits_in(self.shape) else None


def first_voxel(grid: VoxelGrid) -> Triple:
    """The voxel (z, y, x) of an unbounded grid at which a volume begins, to the nearest.

    >>> first_voxel(VoxelGrid((30, 8, 8), (60, 0, 4)))
    (2, 0, 0)
    """
    assert grid.resolution is not None
    axes = zip(grid.offset_nm, grid.resolution, strict=True)
    z, y, x = (round(at / size) for at, size in axes)
    return z, y, x


def describe(
    scales: Sequence[Scale], dtype: np.dtype[Any], *, channels: int = 1, labels: bool = False
) -> dict[str, Any]:
    """The `info` of a volume.

    Args:
        scales: Finest first.
        dtype: Of the voxels as they are served.
        channels: How many.
        labels: Whether it holds ids, which are compressed as such.
    """
    block = {"compressed_segmentation_block_size": list(reversed(segmentation.BLOCK))}
    return {
        "@type": "neuroglancer_multiscale_volume",
        "type": "segmentation" if labels else "image",
        "data_type": dtype.name,
        "num_channels": channels,
        "scales": [
            {
                "key": scale.key,
                "size": list(reversed(scale.shape)),
                "voxel_offset": list(reversed(scale.first)),
                "resolution": list(reversed(scale.resolution)),
                "chunk_sizes": [list(reversed(scale.chunk))],
                "encoding": "compressed_segmentation" if labels else "raw",
                **(block if labels else {}),
            }
            for scale in scales
        ],
    }


def label_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type in which ids of a type are stored: of 32 or of 64 bits."""
    return np.dtype(np.uint64 if dtype.itemsize > 4 else np.uint32)


def encode(values: NDArray[Any], *, labels: bool) -> bytes:
    """The bytes of a chunk, (z, y, x) or (C, z, y, x)."""
    if labels:
        return segmentation.encode(values.astype(label_type(values.dtype)))
    return np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
