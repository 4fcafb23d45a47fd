"""A look at the values of a volume: all of a small one, some sections of a large one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from connectomics.data.identity import Identity, located
from connectomics.data.io import LazyVolume
from connectomics.data.processing.labels import clean_label, whole_numbers
from connectomics.data.processing.marks import Marks, find_marks
from connectomics.data.volumes import Volume
from connectomics.geometry import Box

VOXELS = 2**25
"""A volume of no more is looked at as a whole: a second or two."""

SAMPLED = 2**24
"""How many of a larger one are looked at, at most."""

SECTIONS = 16


class Sample(NamedTuple):
    """Values of a volume.

    Attributes:
        values: (n, Y, X), of the first section, the last, and some between.
        whole: Whether that is all of it.
    """

    values: np.ndarray
    whole: bool


def sample(volume: Volume) -> Sample:
    """Read a volume, or sections of it, and of these the middle where they are large."""
    depth, height, width = volume.shape
    if depth * height * width <= VOXELS:
        return Sample(volume.read(), whole=True)
    scale = min(1.0, math.sqrt(SAMPLED / (min(depth, SECTIONS) * height * width)))
    size = max(1, int(height * scale)), max(1, int(width * scale))
    y, x = (height - size[0]) // 2, (width - size[1]) // 2
    sections = np.unique(np.linspace(0, depth - 1, min(depth, SECTIONS)).astype(int)).tolist()
    values = np.empty((len(sections), *size), volume.dtype)
    for n, z in enumerate(sections):
        values[n] = volume.read(Box((z, y, x), (z + 1, y + size[0], x + size[1])))[0]
    return Sample(values, whole=False)


_MARKS: dict[Identity, Marks] = {}
"""Of volumes that this program has looked at; one whose files have changed is looked at anew."""


def marks_of(volume: Volume, values: np.ndarray | None = None) -> Marks:
    """Tell which values of a label volume are no ids.

    Args:
        volume: Of labels.
        values: The whole numbers of its `sample`, where they have been read.

    Raises:
        DataError: It holds no labels, or what may be a mark or an id.
    """
    found = None
    if isinstance(volume, LazyVolume) and not volume.remote:  # the web is slow to ask
        found = located(volume)
        if found.files and found in _MARKS:
            return _MARKS[found]
    if values is None:
        values = whole_numbers(sample(volume).values, volume.source)
    marks = find_marks(values, volume.source)
    if found is not None and found.files:
        _MARKS[found] = marks
    return marks


@dataclass(frozen=True, eq=False)
class LabelSurvey:
    """What a label volume holds, as far as it was looked at.

    Attributes:
        source: The volume as the user wrote it.
        labels: (n, Y, X) without marks, 0 = background.
        whole: Whether that is all of it.
        marks: What was taken out.
        ids: (n,) ascending.
        voxels: (n,) of each.
    """

    source: str
    labels: np.ndarray
    whole: bool
    marks: Marks
    ids: np.ndarray
    voxels: np.ndarray

    @property
    def filled(self) -> float:
        """The share of voxels that are labelled."""
        return int(self.voxels.sum()) / max(1, self.labels.size)

    @property
    def evenness(self) -> float:
        """Of neighbours along x that are both labelled, the share with one label; NaN for none."""
        return evenness(self.labels, 0)


def evenness(values: np.ndarray, background: float) -> float:
    """Of neighbours along x, neither of them background, the share that are equal; NaN for none."""
    left, right = values[..., :-1], values[..., 1:]
    both = (left != background) & (right != background)
    pairs = np.count_nonzero(both)
    return np.count_nonzero(both & (left == right)) / pairs if pairs else math.nan


def survey_labels(volume: Volume) -> LabelSurvey:
    """Look at a label volume.

    Raises:
        DataError: It cannot be read, holds no labels, or what may be a mark or an id.
    """
    source = volume.source
    values, whole = sample(volume)
    values = whole_numbers(values, source)
    marks = marks_of(volume, values)
    labels = clean_label(values, source, marks=marks).label
    ids, voxels = np.unique(labels[labels > 0], return_counts=True)
    return LabelSurvey(source, labels, whole, marks, ids, voxels)
