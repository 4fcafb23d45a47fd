"""What is known of a volume before a voxel of it is read, in the same words for every format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple, Protocol, Self

import numpy as np

from connectomics.errors import DataError
from connectomics.geometry import VoxelGrid

Resolution = tuple[float, float, float]


class ArrayLike(Protocol):
    """What opening a volume gives: something that reads a crop when it is indexed."""

    def __getitem__(self, index: tuple[slice, ...], /) -> Any: ...


Opener = Callable[[], tuple[ArrayLike, Callable[[], None]]]
"""Opens the file and returns its array with the function that closes it. Can be pickled."""


class Gaps(NamedTuple):
    """How much of a volume was never written, so that it reads as the fill value.

    >>> str(Gaps(3, 64, "chunks"))
    '3 of its 64 chunks'
    """

    missing: int
    of: int
    what: str
    fill: float = 0

    @classmethod
    def of_count(cls, missing: int, of: int, what: str, fill: float | None = 0) -> Self | None:
        """None where nothing is missing."""
        return cls(missing, of, what, fill or 0) if missing > 0 else None

    def __str__(self) -> str:
        return f"{self.missing} of its {self.of} {self.what}"


@dataclass(frozen=True)
class Header:
    """Facts of a volume.

    Attributes:
        shape: (Z, Y, X) or (C, Z, Y, X), in voxels.
        dtype: In the byte order of this machine.
        resolution: nm per voxel (z, y, x), or None where the file does not say.
        offset_nm: Position of voxel (0, 0, 0) in nm (z, y, x).
        attributes: Everything else the file says, as plain JSON-able values.
        chunks: (z, y, x) of the pieces in which the file can be read, or None if any will do.
        dataset: The name of the array inside the file or store; empty where arrays have none.
        loss: Why the values cannot be labels, as an image file stores them; empty where they can.
        gaps: How much of it is not in the file, or None where all is.
        sections: The number of each section, where they are files of their own that have one.
        placed: Whether the file states its offset; where it does not, `offset_nm` is zero.

    >>> Header((3, 20, 64, 64), np.dtype("uint8"), chunks=(16, 32, 32)).full_chunks
    (1, 16, 32, 32)
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    resolution: Resolution | None = None
    offset_nm: Resolution = (0.0, 0.0, 0.0)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    chunks: tuple[int, int, int] | None = None
    dataset: str = ""
    loss: str = ""
    gaps: Gaps | None = None
    sections: tuple[Decimal, ...] = ()
    placed: bool = False

    @property
    def grid(self) -> VoxelGrid:
        """Where its voxels lie."""
        return VoxelGrid(self.resolution, self.offset_nm)

    @property
    def full_chunks(self) -> tuple[int, ...] | None:
        """Chunks with the channel axis, if there is one: channels are stored apart."""
        return self.chunks and ((1,) * (len(self.shape) - 3) + self.chunks)


def check_array(source: str, shape: Sequence[int], dtype: np.dtype[Any]) -> None:
    """Refuse what is not a volume of numbers.

    Raises:
        DataError: The dtype is not bool, integer or float of at most 64 bits; there are not
            three axes, or four with channels; or an axis has no voxels.
    """
    text = size_text(shape)
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise DataError(
            source,
            f"holds {dtype}, which is no grey value, label or probability.",
            "Store it as an integer, float or bool type.",
        )
    if len(shape) == 2:
        raise DataError(
            source,
            f"is one 2-D image of {text}; a volume has three axes (Z, Y, X).",
            "Give the folder of all its sections, or store it with a Z axis: (1, Y, X).",
        )
    if len(shape) not in (3, 4):
        raise DataError(
            source,
            f"has {len(shape)} axes ({text}).",
            "A volume has three axes (Z, Y, X), or four with channels first (C, Z, Y, X).",
        )
    if 0 in shape:
        raise DataError(source, f"is empty: its shape is {text}.", "Write the file again.")


def size_text(sizes: Sequence[float]) -> str:
    """Sizes along the axes as text.

    >>> size_text((20, 1024, 768))
    '20 x 1024 x 768'
    """
    return " x ".join(f"{size:.10g}" for size in sizes) or "a single value"


def native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The same type in the byte order of this machine; big-endian TIFF is common."""
    return dtype.newbyteorder("=")
