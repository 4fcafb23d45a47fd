from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from connectomics.data import counting
from connectomics.data.counting import Counted, label_boxes, lack_of, what_counts
from connectomics.data.io import LazyVolume
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


@pytest.mark.parametrize(
    ("shape", "chunks", "boxes"),
    [
        ((9, 8, 8), (4, 4, 4), [(4, 8, 8), (4, 8, 8), (1, 8, 8)]),  # whole sections
        ((4, 16, 32), (4, 8, 8), [(4, 8, 8)] * 8),
        ((4, 8, 32), (2, 8, 8), [(2, 8, 16)] * 4),
        ((2, 16, 32), None, [(1, 8, 32)] * 4),  # stored in no pieces
    ],
)
def test_no_box_of_labels_is_wider_than_memory_allows(monkeypatch, shape, chunks, boxes):
    monkeypatch.setattr(counting, "VOXELS", 256)
    label = LazyVolume.__new__(LazyVolume)
    label.shape, label.chunks = shape, chunks
    assert [box.shape for box in label_boxes(LabelledVolume("v", label, label))] == boxes


def test_the_most_of_several_volumes_counts():
    nothing, background, foreground = volume([INVALID]), volume([0]), volume([1])
    assert what_counts([nothing, background]) is Counted.BACKGROUND
    assert what_counts([nothing, background, foreground]) is Counted.FOREGROUND
    assert what_counts([]) is Counted.NOTHING


def test_what_is_said_of_it():
    one = np.ones((1, 1, 1), np.uint8)
    masked = LabelledVolume("v", MemoryVolume("em.h5", one), MemoryVolume("syn.h5", one))
    said = str(lack_of(Counted.NOTHING, "data.test", [masked]))
    assert "data.test: no voxel counts: all are marked as invalid in syn.h5" in said
    masked = replace(masked, mask=MemoryVolume("mask.h5", one))
    said = str(lack_of(Counted.NOTHING, "data.test", [masked] * 5))
    assert "outside the mask mask.h5, mask.h5, mask.h5 and 2 more, or marked as" in said
    said = str(lack_of(Counted.BACKGROUND, "data.test", [masked]))
    assert "no foreground where they count: syn.h5 inside mask.h5." in said
    assert "no foreground" in str(lack_of(Counted.BACKGROUND, "data.test"))
    assert lack_of(Counted.FOREGROUND, "data.test") is None


def test_a_volume_without_labels_is_an_error():
    with pytest.raises(DataError, match="has no labels"):
        what_counts([LabelledVolume("v", MemoryVolume("v", np.zeros((1, 1, 1))))])
