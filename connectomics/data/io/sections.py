"""Folders of 2-D sections, one image file each, and stacks that read section by section."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from connectomics.data.io.header import ArrayLike, Header, Opener, check_array
from connectomics.data.io.location import Location, has_wildcards
from connectomics.data.io.pictures import Picture, decode_image, decode_page, of_image, of_page
from connectomics.data.io.section_names import (
    doubts,
    missing_numbers,
    numbers_text,
    section_numbers,
)
from connectomics.errors import DataError, warn

SECTION_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg")

# Windows of a sliding pass share sections: keep the last ones decompressed, in each process.
CACHE_BYTES = 64 * 2**20


@dataclass
class SectionStack:
    """A stack that decodes whole sections and keeps the most recent ones.

    Attributes:
        numbers: For each (Z,) or (C, Z) position of the stack, the number of its section.
        read_section: Decodes one section, by number.
        section_shape: (Y, X).
        dtype: Of every section.
    """

    numbers: NDArray[np.intp]
    read_section: Callable[[int], NDArray[Any]]
    section_shape: tuple[int, int]
    dtype: np.dtype[Any]
    _recent: OrderedDict[int, NDArray[Any]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __getitem__(self, index: tuple[slice, ...]) -> NDArray[Any]:
        *leading, y, x = index
        wanted = self.numbers[tuple(leading)]
        height, width = (
            len(range(*part.indices(n))) for part, n in zip((y, x), self.section_shape, strict=True)
        )
        crop = np.empty((*wanted.shape, height, width), self.dtype)
        for place in np.ndindex(wanted.shape):
            crop[place] = self._section(int(wanted[place]))[y, x]
        return crop

    def close(self) -> None:
        """Let go of the decoded sections."""
        self._recent.clear()

    def _section(self, number: int) -> NDArray[Any]:
        with self._lock:  # a file has one reading position, so threads take turns
            if number not in self._recent:
                self._recent[number] = self.read_section(number)
                room = max(1, CACHE_BYTES // max(1, self._recent[number].nbytes))
                while len(self._recent) > room:
                    self._recent.popitem(last=False)
            self._recent.move_to_end(number)
            return self._recent[number]


def inspect(location: Location) -> tuple[Header, Opener]:
    """Read the header of a folder of sections, or of a pattern such as `folder/*.png`.

    Sections are taken in the order of their numbers: `z9.png` comes before `z10.png`. Only the
    images' headers are read. Image files carry no section thickness, so there is no voxel size.

    Raises:
        DataError: There are no sections, or of several kinds; they differ in size or type; one
            cannot be read, is in colour or holds several pages.
    """
    files, numbers = _numbered_sections(location)
    if missing := missing_numbers(numbers):
        problem = (
            f"has no section {numbers_text(missing)}; those beside it are taken for neighbours."
        )
        warn(location.source, problem, "If they exist, put them there.")
    for problem, remedy in doubts(files):
        warn(location.source, problem, remedy)
    if not numbers and len(files) > 1:
        problem = f"its sections have no numbers; their order is {files[0].name}, {files[1].name}"
        remedy = "If that is not their order, number them."
        warn(location.source, f"{problem}{', …' * (len(files) > 2)}, by name.", remedy)
    first = _inspect_section(files[0])
    for file in files[1:]:
        other = _inspect_section(file)
        if other != first:
            raise DataError(
                location.source,
                f"its sections differ: {files[0].name} is {first}, {file.name} is {other}.",
                "Crop or pad them to one size and store them as one type.",
            )
    shape = (len(files), *first.shape)
    check_array(location.source, shape, first.dtype)
    header = Header(shape, first.dtype, chunks=(1, *first.shape), loss=first.loss, sections=numbers)
    return header, partial(_open_stack, tuple(files), header)


def find_sections(location: Location) -> list[Path]:
    """The section files of a folder or pattern, in the order of their numbers.

    Raises:
        DataError: There are none, files of several kinds or series, or a number twice.
    """
    return _numbered_sections(location)[0]


def _numbered_sections(location: Location) -> tuple[list[Path], tuple[Decimal, ...]]:
    """The section files in order, and the number of each; none where the names have none."""
    folder, pattern = location.path, "*"
    if has_wildcards(location.path):
        folder, pattern = location.path.parent, location.path.name
    visible = [p for p in folder.glob(pattern) if p.is_file() and not p.name.startswith(".")]
    files = sorted(p for p in visible if p.suffix.lower() in SECTION_SUFFIXES)
    if not files:
        holds = ", ".join(sorted(p.name for p in visible)[:5]) or "no files"
        raise DataError(
            location.source,
            f"no sections found ({holds}).",
            f"A folder of sections holds one image per section: {', '.join(SECTION_SUFFIXES)}.",
        )
    kinds = sorted({p.suffix.lower() for p in files})
    if len(kinds) > 1:
        raise DataError(
            location.source,
            f"holds sections of several kinds: {', '.join(kinds)}.",
            f"Choose one with a pattern: {folder}/*{kinds[0]}.",
        )
    try:
        numbers = section_numbers(files)
    except ValueError as error:
        raise DataError(
            location.source,
            f"{error}.",
            f"Choose with a pattern, such as {folder}/z*{kinds[0]}, or remove what is not wanted.",
        ) from error
    if not numbers:
        return files, ()
    order = sorted(range(len(files)), key=numbers.__getitem__)
    return [files[i] for i in order], tuple(numbers[i] for i in order)


def _open_stack(files: tuple[Path, ...], header: Header) -> tuple[ArrayLike, Callable[[], None]]:
    numbers = np.arange(len(files))
    _, height, width = header.shape
    stack = SectionStack(numbers, lambda n: _read_image(files[n]), (height, width), header.dtype)
    return stack, stack.close


def _inspect_section(file: Path) -> Picture:
    if file.suffix.lower() in (".tif", ".tiff"):
        with _readable(file), tifffile.TiffFile(file) as tiff:
            page = tiff.pages.first
            _check_grey(
                file, page.ndim == 2 and len(tiff.pages) == 1, f"axes {tiff.series[0].axes}"
            )
            return of_page(str(file), page)
    with _readable(file), _open_image(file) as image:
        _check_grey(file, len(image.getbands()) == 1, f"mode {image.mode}")
        _check_grey(file, getattr(image, "n_frames", 1) == 1, "several frames")
        return of_image(file, image)


def _read_image(file: Path) -> NDArray[Any]:
    with _readable(file):
        if file.suffix.lower() in (".tif", ".tiff"):
            with tifffile.TiffFile(file) as tiff:
                page = tiff.pages.first
                return of_page(str(file), page).values(decode_page(str(file), page))
        with _open_image(file) as image:
            return decode_image(file, image)


def _check_grey(file: Path, is_grey: bool, found: str) -> None:
    if not is_grey:
        raise DataError(
            str(file),
            f"is no single grey image ({found}).",
            "Sections hold one grey value or label per pixel: convert EM to grey, and colours that "
            "are labels to numbers, such as 0, 1 for pre and 2 for post.",
        )


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, SyntaxError, RuntimeError, UnidentifiedImageError) as error:
        raise DataError(
            str(file), f"cannot be read as an image: {error}.", "Replace or remove this section."
        ) from error


@contextmanager
def _open_image(file: Path) -> Iterator[Image.Image]:
    # Pillow takes a section of 14,000 × 14,000 pixels for an attack. In EM it is a section.
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        # Whatever a file is called, Pillow goes by what is in it, and runs programs for some.
        image = Image.open(file, formats=("PNG", "JPEG"))
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    with image:
        yield image
