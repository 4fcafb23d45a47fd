"""Where the labels of a volume are: what is drawn from, and what is counted in.

Labels in memory are counted densely; others are read once, and what is found is kept (`kept.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from connectomics.data.dataset import PatchSource
from connectomics.data.foreground import DenseForegroundTable, ForegroundTable
from connectomics.data.kept import Arrays, Kept
from connectomics.data.synapse_table import VolumeSynapses
from connectomics.data.volumes import MemoryVolume
from connectomics.geometry import Box

CODE = (
    "data/places.py",
    "data/synapse_table.py",
    "data/dataset.py",
    "data/counting.py",
    "data/survey.py",
    "data/processing/labels.py",
    "data/processing/marks.py",
)
"""What decides on where labels are found."""


class Places(NamedTuple):
    """Where the labels of a volume are, as far as that was asked for.

    Attributes:
        table: Of their voxels.
        synapses: That they are of.
        masked: Whether there may be voxels that do not count.
    """

    table: ForegroundTable | None
    synapses: VolumeSynapses | None
    masked: bool

    @property
    def any(self) -> bool:
        """Whether there are some; False where nobody looked."""
        counted = self.table is not None and self.table.total > 0
        return counted or (self.synapses is not None and len(self.synapses.first) > 1)


def places_of(
    source: PatchSource, kept: Kept, *, sided: bool, tabled: bool = True, numbered: bool = True
) -> Places:
    """Find the labels of a volume.

    Args:
        source: The volume.
        kept: What is known already.
        sided: Labels 2n-1 and 2n are the sides of synapse n; else each is a synapse.
        tabled: Whether the table is needed.
        numbered: Whether the synapses are needed.
    """
    if isinstance(source.label, MemoryVolume) or not (tabled or numbered):
        return Places(
            DenseForegroundTable(source.foreground()) if tabled else None,
            _read(source, sided=sided)[0] if numbered else None,
            source.has_mask(),
        )
    found = kept.find(
        "labels",
        [source.label, source.volume.mask],
        lambda: _packed(source, sided=sided),
        settings={"sided": sided, "marks": source.marks},
        code=CODE,
    )
    synapses = VolumeSynapses.unpacked(found, source.shape)
    return Places(synapses.foreground() if tabled else None, synapses, bool(found["masked"]))


def _read(source: PatchSource, *, sided: bool) -> tuple[VolumeSynapses, bool]:
    """The synapses, and whether there are voxels that do not count, by going through all once."""
    masked = source.volume.mask is not None

    def numbers() -> Iterator[tuple[Box, np.ndarray]]:
        nonlocal masked
        for box in source.boxes():
            label, counts = source.read_label(box)
            number = label // 2 + label % 2 if sided else label
            if counts is not None:
                masked, number = True, number * counts
            yield box, number

    return VolumeSynapses.of(numbers(), source.shape), masked


def _packed(source: PatchSource, *, sided: bool) -> Arrays:
    synapses, masked = _read(source, sided=sided)
    return {**synapses.packed(), "masked": np.array(masked)}
