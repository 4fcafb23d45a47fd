"""Label volumes as they are scored: without marks; small ones in memory, large ones read by box."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from connectomics.data.counting import nothing_counts
from connectomics.data.identity import Identity, located
from connectomics.data.io import LazyVolume
from connectomics.data.processing import clean_label, clean_neurons
from connectomics.data.processing.labels import whole_numbers
from connectomics.data.processing.marks import find_marks, is_any
from connectomics.data.volumes import LabelledVolume, Volume
from connectomics.errors import DataError
from connectomics.evaluation import Extents, Labels
from connectomics.evaluation.derived import Derived
from connectomics.evaluation.extents import list_values
from connectomics.evaluation.volumes import blocks_of, read
from connectomics.geometry import Box
from connectomics.mapping import Part, map_blocks

IN_MEMORY = 2**28
"""Bytes of a volume that is read whole; a larger one is read by box, over and over."""

LOOKED_AT_FIRST = 8
"""Blocks in which something is looked for here, before others are asked to look for it."""


class Truth(NamedTuple):
    """Labels, and where they count.

    Attributes:
        labels: (Z, Y, X), 0 = background.
        mask: (Z, Y, X) bool, or None where all of them count.
        counted: How many voxels count.
    """

    labels: Labels
    mask: Labels | None
    counted: int


def open_truth(volume: LabelledVolume, *, at_most: float | None = None) -> Truth:
    """Open the label of a volume, and see where scores count.

    That is inside the volume's mask, and where its label is not invalid.

    Args:
        volume: With its label.
        at_most: Bytes of a file that is read whole; `IN_MEMORY` unless given.

    Raises:
        DataError: The label cannot be read or holds no labels, or nothing counts.
    """
    assert volume.label is not None
    labels, mask = open_labels(volume.label, at_most=at_most)
    if volume.mask is not None:
        given = _held(volume.mask, _is_inside, at_most)
        mask = given if mask is None else _both(given, mask)
    if mask is None:
        return Truth(labels, None, math.prod(labels.shape))
    parts = map_blocks(partial(_voxels_in, mask), blocks_of(mask), "voxels counted")
    counted = sum(int(part["voxels"]) for part in parts)
    if not counted:
        raise DataError.of([nothing_counts(volume.label.source, [volume])])
    return Truth(labels, mask, counted)


def _is_inside(mask: np.ndarray) -> np.ndarray:
    return mask > 0


def _voxels_in(mask: Labels, box: Box) -> Part:
    return {"voxels": np.array(np.count_nonzero(read(mask, box)))}


def read_truth(volume: LabelledVolume) -> tuple[np.ndarray, np.ndarray | None]:
    """As `open_truth`, whole and in memory, however large.

    Raises:
        DataError: As `open_truth`.
    """
    labels, mask, _ = open_truth(volume, at_most=math.inf)
    assert isinstance(labels, np.ndarray)
    assert isinstance(mask, np.ndarray | None)
    return labels, mask


def open_labels(volume: Volume, *, at_most: float | None = None) -> tuple[Labels, Labels | None]:
    """Labels without marks, and where they count; None where all of them do.

    Args:
        volume: As it is stored.
        at_most: Bytes of a file that is read whole; `IN_MEMORY` unless given.

    Raises:
        DataError: The volume cannot be read, or holds no labels.
    """
    if _is_small(volume, at_most):
        return clean_label(volume.read(), volume.source)
    labels = CleanVolume(volume)
    return labels, labels.mask


def open_neurons(volume: Volume, *, at_most: float | None = None) -> Labels:
    """The ids of a neuron segmentation, without CREMI's marks.

    Args:
        volume: As it is stored.
        at_most: Bytes of a file that is read whole; `IN_MEMORY` unless given.
    """
    return _held(volume, partial(clean_neurons, where=volume.source), at_most)


def read_neurons(volume: Volume) -> np.ndarray:
    """As `open_neurons`, whole and in memory, however large.

    Raises:
        DataError: They are no ids.
    """
    return clean_neurons(volume.read(), volume.source)


def is_any_voxel(where: Callable[..., np.ndarray], *labels: Labels) -> bool:
    """Whether something is true of any voxel; as a rule one of the first blocks tells."""
    boxes, look = blocks_of(*labels), partial(_any_in, where, labels)
    if any(look(box)["any"] for box in boxes[:LOOKED_AT_FIRST]):
        return True
    rest = map_blocks(look, boxes[LOOKED_AT_FIRST:], "voxels looked for")
    return any(bool(part["any"]) for part in rest)


def _any_in(where: Callable[..., np.ndarray], labels: tuple[Labels, ...], box: Box) -> Part:
    return {"any": np.array(where(*(read(one, box) for one in labels)).any())}


class CleanVolume:
    """A label volume that is read by box, without its marks. All of it is seen once, at first.

    Attributes:
        shape: (Z, Y, X).
        chunks: As it is stored.
        marks: What is taken out.
        extents: Its objects.
        mask: Where labels count, or None where all do.
    """

    def __init__(self, volume: Volume) -> None:
        """See what the volume holds.

        Raises:
            DataError: It cannot be read, or holds no labels.
        """
        self._volume, self._source = volume, volume.source
        self.shape, self.chunks = volume.shape, getattr(volume, "chunks", None)
        held = _Held(_WholeNumbers(volume))
        self.marks = find_marks(held, self._source)
        self.extents = held.objects(self.marks.background, self.marks.ignored, self.marks.zero)
        self.mask: Labels | None = None
        if any(held.count(value) for value in self.marks.ignored):
            self.mask = Derived(partial(_counts, self.marks.ignored), held.numbers)

    def read(self, box: Box) -> np.ndarray:
        """A box of labels, 0 = background."""
        return clean_label(self._volume.read(box), self._source, marks=self.marks).label

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "extents": None}  # it is read elsewhere, not listed


def _counts(ignored: tuple[int, ...], numbers: np.ndarray) -> np.ndarray:
    return ~is_any(numbers, ignored)


class _WholeNumbers:
    """A volume as integers, with its marks."""

    def __init__(self, volume: Volume) -> None:
        self.shape, self.chunks = volume.shape, getattr(volume, "chunks", None)
        self.dtype = volume.dtype if volume.dtype.kind in "biu" else np.dtype(np.int64)
        self.volume = volume

    def read(self, box: Box) -> np.ndarray:
        return whole_numbers(self.volume.read(box), self.volume.source, start=box.start)


class _Held:
    """The numbers in a volume, as `find_marks` asks for them."""

    def __init__(self, numbers: _WholeNumbers) -> None:
        self.numbers, self.dtype, self.size = numbers, numbers.dtype, math.prod(numbers.shape)
        self._found = _values_in(numbers)
        unsigned = self._found.ids.astype(f"u{self.dtype.itemsize}")
        self._values = unsigned.view(self.dtype).tolist()
        self.low, self.high = int(min(self._values)), int(max(self._values))

    def count(self, value: int) -> int:
        return int(self._found.voxels[self._values.index(value)]) if value in self._values else 0

    def highest_but(self, *others: int) -> int:
        return max([0, *(value for value in self._values if value not in others)])

    def first(self, *values: int) -> tuple[int, tuple[int, ...]]:
        # Of each, the first section of its box has a voxel of it.
        rows = [i for i, value in enumerate(self._values) if value in values]
        z = min(int(self._found.start[i, 0]) for i in rows)
        _, height, width = self.numbers.shape
        section = Box((z, 0, 0), (z + 1, height, width))
        numbers = self.numbers.read(section)
        _, y, x = np.unravel_index(np.argmax(is_any(numbers, values)), numbers.shape)
        return int(numbers[0, y, x]), (z, int(y), int(x))

    def objects(self, background: int | None, ignored: tuple[int, ...], zero: int) -> Extents:
        """Without marks; voxels of value 0 are object `zero`, if that is not 0."""
        marks = {background, *ignored}
        kept = [value not in marks and (value != 0 or zero > 0) for value in self._values]
        names = np.where(self._found.ids == 0, np.uint64(zero), self._found.ids)
        return self._found.selected(np.asarray(kept, bool)).renamed(names[kept])


_SEEN: dict[Identity, Extents] = {}
"""The values of volumes that this program has seen; one whose files have changed is seen anew."""


def _values_in(numbers: _WholeNumbers) -> Extents:
    """Each value, with its voxels and its box. Scores, report and picture all ask for them."""
    found = located(numbers.volume) if isinstance(numbers.volume, LazyVolume) else None
    if found is None or not found.files:
        return list_values(numbers)
    if found not in _SEEN:
        _SEEN[found] = list_values(numbers)
    return _SEEN[found]


def _is_small(volume: Volume, at_most: float | None) -> bool:
    most = IN_MEMORY if at_most is None else at_most
    return math.prod(volume.shape) * volume.dtype.itemsize <= most


def _held(
    volume: Volume, change: Callable[[np.ndarray], np.ndarray], at_most: float | None
) -> Labels:
    return change(volume.read()) if _is_small(volume, at_most) else Derived(change, volume)


def _both(first: Labels, second: Labels) -> Labels:
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return first & second
    return Derived(np.logical_and, first, second)
