"""Whether the numbers of an image file are values, or a picture of values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from connectomics.data.io.header import native, size_text
from connectomics.errors import DataError

# Parts of the names of compressions that give back other values than went in, or may do so.
LOSSY = ("JPEG", "JPEG2000", "JPEGXR", "JPEGXL", "JP2000", "WEBP", "LERC", "LURADOC")

JPEG = "is compressed with {}, which changes values"
WHITE_IS_ZERO = "stores white as 0 (MINISWHITE), so that what is seen is not what is stored"

# Of PNG, where the header says how many bits a value has.
PNG_START, PNG_BITS = b"\x89PNG\r\n\x1a\n", 24


@dataclass(frozen=True)
class Picture:
    """How an image file stores one grey value or label per pixel.

    Attributes:
        shape: (Y, X).
        dtype: Of the values, in the byte order of this machine.
        bits: Of a value in the file.
        white_is_zero: Whether small values are bright. They are turned round when they are read.
        loss: Why the values cannot be labels; empty where they can.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    bits: int
    white_is_zero: bool = False
    loss: str = ""

    def values(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Grey values as they are seen: where white is 0, black becomes 0.

        >>> picture = Picture((1, 2), np.dtype("uint8"), 4, white_is_zero=True)
        >>> picture.values(np.array([[0, 15]], np.uint8)).tolist()
        [[15, 0]]
        """
        if not self.white_is_zero:
            return stored
        return ~stored if stored.dtype == bool else stored ^ stored.dtype.type(2**self.bits - 1)

    def __str__(self) -> str:
        bits = f" of {self.bits} bits" if self.bits != 8 * self.dtype.itemsize else ""
        white = ", white is 0" if self.white_is_zero else ""
        return (
            f"{size_text(self.shape)} {self.dtype}{bits}{white}{', JPEG' * ('JPEG' in self.loss)}"
        )


def of_page(where: str, page: tifffile.TiffPage) -> Picture:
    """Tell how a page of a TIFF stores its values.

    Args:
        where: The file, for messages.
        page: Of one sample per pixel.

    Raises:
        DataError: The values are numbers of the colours of a palette, or small values of a type
            that cannot be turned round are bright.
    """
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE and page.colormap is not None:
        _check_palette(where, page.colormap >> 8)
    codec = str(getattr(page.compression, "name", page.compression))  # a number if unknown
    loss = JPEG.format(codec) if any(name in codec for name in LOSSY) else ""
    dtype = native(np.dtype(page.dtype))
    # What tifffile writes of bool says that white is 0, and means the numbers nevertheless.
    numbers = dtype.kind == "b" and page.software.startswith("tifffile")
    white_is_zero = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and not numbers
    if white_is_zero and dtype.kind not in "bu":
        remedy = "Write it again with black as 0 (photometric='minisblack')."
        raise DataError(where, f"{WHITE_IS_ZERO}, and its values are {dtype}.", remedy)
    # Pages of one sample have one number of bits; what it says of several is not asked for.
    bits = page.bitspersample if isinstance(page.bitspersample, int) else 8 * dtype.itemsize
    height, width = page.shape[:2]
    return Picture(
        (height, width), dtype, bits, white_is_zero, loss or white_is_zero * WHITE_IS_ZERO
    )


def decode_page(where: str, page: tifffile.TiffPage | tifffile.TiffFrame) -> NDArray[Any]:
    """The values of a page as they are stored, (Y, X).

    Raises:
        DataError: Strips or tiles of it were never written, which tifffile reads as 0.
    """
    missing = sum(count == 0 for count in page.databytecounts)
    if missing:
        raise DataError(
            where,
            f"{missing} of the {len(page.databytecounts)} strips or tiles of page {page.index} "
            "are not in the file.",
            "Copy or download it again. If they are meant to be 0, write them so.",
        )
    return page.asarray().reshape(page.shape[:2])


def of_image(file: Path, image: Image.Image) -> Picture:
    """Tell how an image that Pillow opened stores its values; nothing is decoded.

    Raises:
        DataError: The values are numbers of the colours of a palette.
    """
    palette = image.getpalette()
    if image.mode == "P" and palette is not None:
        _check_palette(str(file), np.reshape(palette, (-1, 3)).T)
    # The mode alone decides the dtype.
    dtype = native(np.asarray(Image.new(image.mode, (1, 1))).dtype)
    loss = "" if image.format == "PNG" else JPEG.format(image.format)
    return Picture((image.height, image.width), dtype, _bits(file, dtype), loss=loss)


def decode_image(file: Path, image: Image.Image) -> NDArray[Any]:
    """The values of an image as they are stored: Pillow stretches 2 and 4 bits to 8."""
    values, bits = np.asarray(image), _bits(file, np.dtype("uint8"))
    return values // (255 // (2**bits - 1)) if image.mode == "L" and bits in (2, 4) else values


def _bits(file: Path, dtype: np.dtype[Any]) -> int:
    with file.open("rb") as opened:
        start = opened.read(PNG_BITS + 1)
    return start[PNG_BITS] if start.startswith(PNG_START) else 8 * dtype.itemsize


def _check_palette(where: str, palette: NDArray[Any] | Sequence[Any]) -> None:
    """Refuse values that stand for colours, unless colour n is the grey n.

    Args:
        where: The file.
        palette: (3, n) red, green and blue of each value, 0 to 255.
    """
    colours = np.asarray(palette)
    if not np.array_equal(colours, np.broadcast_to(np.arange(colours.shape[1]), colours.shape)):
        raise DataError(
            where,
            "has a palette: its numbers stand for colours, and it does not say whether the "
            "numbers are meant or the colours.",
            "Save it without: in Fiji, Image > Lookup Tables > Grays and then save keeps the "
            "numbers (labels); Image > Type > RGB Color and then 8-bit gives grey values.",
        )
