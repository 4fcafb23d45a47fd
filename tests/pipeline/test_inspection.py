"""What labels hold, counted by hand."""

from __future__ import annotations

import numpy as np

from connectomics.data.volumes import LabelledVolume, MemoryVolume
from connectomics.pipeline.inspection import inspect_labels


def test_small_pieces_are_told_beside_the_synapses() -> None:
    label = np.zeros((4, 24, 24), np.uint8)
    for n, y in enumerate((0, 8, 16)):
        label[:, y : y + 4, :4], label[:, y : y + 4, 4:8] = 2 * n + 1, 2 * n + 2
    volume = LabelledVolume("em", MemoryVolume("em", label), MemoryVolume("syn", label))
    assert inspect_labels(volume).number == "3 synapses"
    label[0, 0, 20], label[0, 0, 21] = 7, 8
    found = inspect_labels(volume)
    assert found.number == "3 synapses and 1 small piece"
    assert found.sizes.tolist() == [128, 128, 128]
