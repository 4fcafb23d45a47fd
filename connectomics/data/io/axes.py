"""Arrays with named axes, seen as (Z, Y, X) or (C, Z, Y, X)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from connectomics.data.io.header import ArrayLike, size_text
from connectomics.errors import DataError


@dataclass(frozen=True)
class AxisView:
    """Axes of an array put in order, and those of length one left out.

    Attributes:
        array: The array behind the view; indexed by ints and slices.
        order: For each axis of the view, the axis of the array.
        ndim: Number of axes of the array.

    >>> view = AxisView(np.arange(24).reshape(1, 4, 3, 2), order=(3, 2, 1), ndim=4)
    >>> view[0:1, 0:3, 2:4].tolist()
    [[[12, 18], [14, 20], [16, 22]]]
    """

    array: ArrayLike
    order: tuple[int, ...]
    ndim: int

    def __getitem__(self, index: tuple[slice, ...]) -> NDArray[np.generic]:
        full = [slice(0, 1)] * self.ndim
        for axis, part in zip(self.order, index, strict=True):
            full[axis] = part
        values = np.asarray(self.array[tuple(full)])
        left_out = [axis for axis in range(self.ndim) if axis not in self.order]
        return np.transpose(values, (*self.order, *left_out)).reshape(
            [values.shape[axis] for axis in self.order]
        )


def volume_axes(source: str, names: Sequence[str], shape: Sequence[int]) -> tuple[int, ...]:
    """Choose the axes that make a volume.

    Args:
        source: For messages.
        names: Name of each axis; z, y, x, c and t have a meaning, others must be of length one.
        shape: Length of each axis.

    Returns:
        Positions of z, y, x, or of c, z, y, x where there are several channels.

    Raises:
        DataError: z, y or x is missing, or a time series has several points.

    >>> volume_axes("em.zarr", "tczyx", (1, 1, 30, 256, 256))
    (2, 3, 4)
    >>> volume_axes("em.zarr", "czyx", (3, 30, 256, 256))
    (0, 1, 2, 3)
    """
    if len(names) != len(shape):
        raise DataError(
            source,
            f"its metadata describes {len(names)} axes, its shape is {size_text(shape)}.",
            "Name the array itself, such as STORE.zarr::0, or write the metadata again.",
        )
    described = ", ".join(f"{name}={size}" for name, size in zip(names, shape, strict=True))
    if not {"z", "y", "x"} <= set(names):
        raise DataError(
            source, f"its axes are {described}; z, y and x are needed.", "Store a volume."
        )
    for name, size in zip(names, shape, strict=True):
        if name not in ("c", "z", "y", "x") and size > 1:
            raise DataError(
                source, f"has {size} positions along axis {name!r} ({described}).", "Store one."
            )
    spatial = tuple(names.index(name) for name in "zyx")
    if "c" in names and shape[names.index("c")] > 1:
        return (names.index("c"), *spatial)
    return spatial
