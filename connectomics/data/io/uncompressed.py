"""Stacks whose sections lie in a file one behind the other, as they are in memory.

They are not mapped: where a mapped file is cut short while it is read, the process is killed.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from connectomics.data.io.pictures import Picture


@dataclass
class UncompressedStack:
    """A stack that reads the rows that are asked for.

    Attributes:
        file: Open for reading; not shared with another process.
        start: Of the first section in the file, in bytes.
        stored: Type in the file, with its byte order.
        numbers: For each (Z,) or (C, Z) position of the stack, the number of its section.
        section_shape: (Y, X).
        picture: What the stored values mean.
    """

    file: IO[bytes]
    start: int
    stored: np.dtype[Any]
    numbers: NDArray[np.intp]
    section_shape: tuple[int, int]
    picture: Picture
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __getitem__(self, index: tuple[slice, ...]) -> NDArray[Any]:
        *leading, y, x = index
        wanted = self.numbers[tuple(leading)]
        height, width = self.section_shape
        rows, columns = range(*y.indices(height)), range(*x.indices(width))
        crop = np.empty((*wanted.shape, len(rows), len(columns)), self.picture.dtype)
        for place in np.ndindex(wanted.shape) if crop.size else ():
            first = int(wanted[place]) * height + rows.start
            crop[place] = self.picture.values(self._rows(first, len(rows))[:, x])
        return crop

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def _rows(self, first: int, count: int) -> NDArray[Any]:
        """Read rows, counted from the first of the first section.

        Raises:
            OSError: The file ends before.
        """
        shape = (count, self.section_shape[1])
        with self._lock:  # a file has one reading position, so threads take turns
            self.file.seek(self.start + first * shape[1] * self.stored.itemsize)
            found = np.fromfile(self.file, self.stored, math.prod(shape))
        if found.size < math.prod(shape):
            raise OSError("the file ends before the voxels do")
        return found.reshape(shape)
