"""What the labels of a volume hold: how they are stored, and their synapses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from connectomics.data.counting import label_boxes, read_label
from connectomics.data.processing import Marks
from connectomics.data.survey import marks_of
from connectomics.data.synapse_table import VolumeSynapses, small_whole
from connectomics.data.volumes import LabelledVolume
from connectomics.evaluation import Encoding, SynapseCount, count_synapses
from connectomics.evaluation.encoding import SIDED
from connectomics.geometry import Box, Triple
from connectomics.scoring.labels import open_truth
from connectomics.scoring.pairs import stored_as

Ints = NDArray[np.int64]

COUNTED_AT_ONCE = 2**23
"""Bytes of labels that are grouped into synapses in memory, which takes about ten for each voxel;
larger ones are grouped block by block, with the same count."""

STORED_AS: dict[str, str] = {
    "polarity": "2n-1 pre, 2n post",
    "semantic": "1 pre, 2 post; what touches is one synapse",
    "instance": "a number per synapse, no sides",
    "binary": "a mask of synapses, no sides; what touches is one synapse",
}
"""What labels hold, by their encoding."""


@dataclass(frozen=True, eq=False)
class Labels:
    """What was found.

    Attributes:
        volume: Whose labels.
        encoding: How they are stored; `auto` where nothing can be told.
        marks: Values that are no ids.
        count: How many synapses, as scores count them.
        sizes: Voxels of each that is large enough to be a whole one.
        low: First voxel (z, y, x) of the box around each, (n, 3).
        high: One past its last, (n, 3).
        specks: How many pieces are too small for a whole one, such as those that a border leaves.
        counted: Voxels that count.
        odd: Of them, those with an odd number: pre, where there are sides.
        even: Those with an even number, 0 apart.
    """

    volume: LabelledVolume
    encoding: Encoding
    marks: Marks
    count: SynapseCount
    sizes: Ints
    low: Ints
    high: Ints
    specks: int
    counted: int
    odd: int
    even: int

    @property
    def source(self) -> str:
        """As the user wrote them."""
        return str(getattr(self.volume.label, "source", self.volume.name))

    @property
    def image(self) -> str:
        """Their image, as the user wrote it."""
        return str(getattr(self.volume.image, "source", self.volume.name))

    @property
    def sided(self) -> bool:
        """Whether they tell pre from post."""
        return self.encoding in SIDED

    @property
    def filled(self) -> float:
        """The share of voxels that are labelled, of those that count."""
        return (self.odd + self.even) / max(1, self.counted)

    def lie_between(self, first: int, stop: int) -> NDArray[np.bool_]:
        """Which of `sizes` have their middle in sections `first` to `stop - 1`."""
        middle = (self.low[:, 0] + self.high[:, 0]) // 2
        return (first <= middle) & (middle < stop)

    def between(self, first: int, stop: int) -> int:
        """How many do."""
        return int(np.count_nonzero(self.lie_between(first, stop)))


def inspect_labels(volume: LabelledVolume, encoding: Encoding = "auto") -> Labels:
    """Read the labels of a volume and find its synapses.

    Args:
        volume: With labels.
        encoding: How they are stored, if the user says.

    Raises:
        DataError: They cannot be read, or are no labels.
    """
    assert volume.label is not None
    marks = marks_of(volume.label)
    stored, count = _counted(volume, encoding)
    totals = np.zeros(3, dtype=np.int64)

    def parts():
        for box in label_boxes(volume):
            label, counts = read_label(volume, box, marks=marks)
            counted = label.size if counts is None else int(np.count_nonzero(counts))
            label = label if counts is None else label * counts
            odd = int(np.count_nonzero(label % 2))
            totals[:] += np.array([counted, odd, np.count_nonzero(label) - odd])
            yield box, _numbers(label, stored)

    found = VolumeSynapses.of(parts(), volume.shape)
    kept = found.whole
    low, high = (ends[kept] for ends in found.bounds())
    specks = int(np.count_nonzero(~kept))
    sizes = found.voxels[kept]
    return Labels(volume, stored, marks, count, sizes, low, high, specks, *totals.tolist())


def large_span(found: Sequence[Labels]) -> Triple:
    """How many voxels (z, y, x) a large synapse spans: 95 % of them span no more."""
    extents = np.concatenate([labels.high - labels.low for labels in found])
    z, y, x = np.ceil(np.percentile(extents, 95, axis=0)).astype(int).tolist()
    return z, y, x


LEAST = 1 / 3
"""What is found and is smaller than so much of a small labelled synapse is dropped by `--init`."""


def small_synapse(
    found: Sequence[Labels], sections: tuple[int, int] | None, *, in_nm3: bool
) -> float:
    """The size of a small synapse: 5 % have less; 0 where there are none.

    Args:
        found: The labels to look at.
        sections: Those that count, [first, stop); None: all.
        in_nm3: In nm³ in place of voxels.
    """
    sizes = []
    for labels in found:
        inside = labels.lie_between(*(sections or (0, labels.volume.shape[0])))
        voxel = np.prod(labels.volume.resolution or 1.0) if in_nm3 else 1
        sizes.append(labels.sizes[inside] * voxel)
    return small_whole(sizes)


def count_in(labels: Labels, sections: tuple[int, int]) -> SynapseCount:
    """How many synapses scores would count in sections [first, stop)."""
    first, stop = sections
    return count_inside(labels, Box((first, 0, 0), (stop, *labels.volume.shape[1:])))


def count_inside(labels: Labels, box: Box) -> SynapseCount:
    """How many synapses scores would count in a box."""
    return _counted(labels.volume.crop(box), labels.encoding)[1]


def _counted(volume: LabelledVolume, encoding: Encoding) -> tuple[Encoding, SynapseCount]:
    """How labels are stored, and how many synapses they hold."""
    assert volume.label is not None
    truth = open_truth(volume, at_most=COUNTED_AT_ONCE)
    stored = stored_as(volume.label, encoding, truth.labels).encoding
    sided = stored in (*SIDED, "auto")
    return stored, count_synapses(truth.labels, stored, sided=sided, mask=truth.mask)


def _numbers(label: np.ndarray, encoding: Encoding) -> np.ndarray:
    """The number of the synapse at each voxel; one for all where labels have no numbers."""
    if encoding == "polarity":
        return label // 2 + label % 2
    return label if encoding == "instance" else (label > 0).astype(np.uint8)
