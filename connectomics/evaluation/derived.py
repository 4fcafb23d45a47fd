"""Labels that are made from other labels, a box at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from connectomics.evaluation.extents import Extents, list_values
from connectomics.evaluation.volumes import Labels, read
from connectomics.geometry import Box


class Derived:
    """Labels that are made from others where they are read.

    Attributes:
        shape: (Z, Y, X).
        chunks: (z, y, x) that are best read together; None where any are.
    """

    def __init__(self, make: Callable[..., np.ndarray], *sources: Labels) -> None:
        """Derive labels.

        Args:
            make: From a part of each source to the part of the labels.
            sources: All of one shape.
        """
        self.shape = sources[0].shape
        chunks = [known for one in sources if (known := getattr(one, "chunks", None))]
        self.chunks = max(chunks, key=math.prod) if chunks else None
        self._make, self._sources = make, sources

    @cached_property
    def extents(self) -> Extents:
        """Its objects, 0 as well."""
        return list_values(self)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "extents"}

    def read(self, box: Box) -> np.ndarray:
        """Make a box inside the volume."""
        return self._make(*(read(source, box) for source in self._sources))
