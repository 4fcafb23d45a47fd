"""What is known of a volume before a voxel of it is read, in the same words for every format."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, Self

import numpy as np

from connectomics.errors import DataError

Resolution = tuple[float, float, float]

# Names under which files give the voxel size (z, y, x), and what makes it nanometres.
# `resolution` is CREMI's, `voxel_size` funlib's, `element_size_um` ilastik's.
VOXEL_SIZE_ATTRIBUTES = {"resolution": 1.0, "voxel_size": 1.0, "element_size_um": 1000.0}
OFFSET_ATTRIBUTE = "offset"


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

    @classmethod
    def of_count(cls, missing: int, of: int, what: str) -> Self | None:
        """None where nothing is missing."""
        return cls(missing, of, what) if missing > 0 else None

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


def split_attributes(
    source: str, attributes: Mapping[str, Any]
) -> tuple[Resolution | None, Resolution, dict[str, Any]]:
    """Tell the voxel size and the offset from the rest of a file's attributes.

    Args:
        source: Where they stand, for messages.
        attributes: As read; arrays, bytes and NumPy scalars become plain values.

    Returns:
        Resolution in nm (None if absent), offset in nm (zeros if absent), the other attributes.

    Raises:
        DataError: A voxel size or an offset that is not three usable numbers.

    >>> split_attributes("raw", {"resolution": np.array([40, 4, 4]), "sample": b"A"})
    ((40.0, 4.0, 4.0), (0.0, 0.0, 0.0), {'sample': 'A'})
    """
    rest = {str(name): plain(value) for name, value in attributes.items()}
    resolution, offset = None, (0.0, 0.0, 0.0)
    for name, to_nm in VOXEL_SIZE_ATTRIBUTES.items():
        if name in rest:
            stated = voxel_size(source, name, rest.pop(name))
            z, y, x = (round(value * to_nm, 9) for value in stated)
            resolution = resolution or (z, y, x)
    if OFFSET_ATTRIBUTE in rest:
        offset = three_numbers(source, OFFSET_ATTRIBUTE, rest.pop(OFFSET_ATTRIBUTE))
    return resolution, offset, rest


def voxel_size(source: str, name: str, value: Any) -> Resolution:
    """Check a voxel size (z, y, x) and give it as floats.

    Raises:
        DataError: It is not three positive numbers.
    """
    sizes = three_numbers(source, name, value)
    if min(sizes) <= 0:
        raise _bad_attribute(source, name, value, "three positive numbers")
    return sizes


def three_numbers(source: str, name: str, value: Any) -> Resolution:
    """Check a (z, y, x) attribute and give it as floats.

    Raises:
        DataError: It is not three finite numbers.
    """
    try:
        z, y, x = (float(v) for v in value)
    except (TypeError, ValueError):
        raise _bad_attribute(source, name, value, "three numbers") from None
    if not np.isfinite([z, y, x]).all():
        raise _bad_attribute(source, name, value, "three finite numbers")
    return z, y, x


def _bad_attribute(source: str, name: str, value: Any, expected: str) -> DataError:
    return DataError(
        source,
        f"its {name!r} is {value!r}, not {expected} (z, y, x).",
        "Correct it. In a file it may also be deleted, and the voxel size given in the config.",
    )


def plain(value: Any) -> Any:
    """Turn what a file format gives as an attribute into a JSON-able value.

    >>> plain({"a": np.arange(2), "b": b"text", "c": (np.float32(0.5), None)})
    {'a': [0, 1], 'b': 'text', 'c': [0.5, None]}
    """
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def check_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Make sure that attributes to be written are plain values and do not shadow the header.

    Raises:
        TypeError: A value JSON has no word for.
        ValueError: A name that is kept for the voxel size or the offset.
    """
    reserved = {*VOXEL_SIZE_ATTRIBUTES, OFFSET_ATTRIBUTE} & attributes.keys()
    if reserved:
        raise ValueError(f"attributes {sorted(reserved)} are written from resolution and offset_nm")
    numpy_free = {
        name: value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        for name, value in attributes.items()
    }
    return json.loads(json.dumps(numpy_free))
