from __future__ import annotations

import numpy as np
import pytest

from connectomics.data.counting import Counted, lack_of, what_counts
from connectomics.data.volumes import LabelledVolume, MemoryVolume
from connectomics.errors import DataError

INVALID = 2**64 - 2


def volume(label: list[int], mask: list[int] | None = None) -> LabelledVolume:
    """A column of voxels, one a section."""
    labels = np.array(label, np.uint64).reshape(-1, 1, 1)
    given = None if mask is None else np.array(mask, np.uint8).reshape(-1, 1, 1)
    part = MemoryVolume("label", labels)
    return LabelledVolume("v", part, part, given if given is None else MemoryVolume("m", given))


@pytest.mark.parametrize(
    ("label", "mask", "found"),
    [
        ([0, 0, 7], None, Counted.FOREGROUND),
        ([0, 0, 7], [0, 0, 1], Counted.FOREGROUND),
        ([0, 0, 7], [1, 1, 0], Counted.BACKGROUND),
        ([0, 0, 0], None, Counted.BACKGROUND),
        ([0, 0, 7], [0, 0, 0], Counted.NOTHING),
        ([INVALID] * 3, None, Counted.NOTHING),
        ([INVALID, 0, INVALID], None, Counted.BACKGROUND),
        ([INVALID, 0, INVALID], [1, 0, 1], Counted.NOTHING),
        ([INVALID, 5, 0], [1, 0, 1], Counted.BACKGROUND),
    ],
)
def test_what_counts(label, mask, found):
    assert what_counts([volume(label, mask)]) is found


def test_the_most_of_several_volumes_counts():
    nothing, background, foreground = volume([INVALID]), volume([0]), volume([1])
    assert what_counts([nothing, background]) is Counted.BACKGROUND
    assert what_counts([nothing, background, foreground]) is Counted.FOREGROUND
    assert what_counts([]) is Counted.NOTHING


def test_what_is_said_of_it():
    assert "data.test: no voxel counts" in str(lack_of(Counted.NOTHING, "data.test"))
    assert "no foreground" in str(lack_of(Counted.BACKGROUND, "data.test"))
    assert lack_of(Counted.FOREGROUND, "data.test") is None


def test_a_volume_without_labels_is_an_error():
    with pytest.raises(DataError, match="has no labels"):
        what_counts([LabelledVolume("v", MemoryVolume("v", np.zeros((1, 1, 1))))])
