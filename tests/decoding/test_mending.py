"""Mending across lost sections."""

from __future__ import annotations

import numpy as np
import pytest
from synapse_volumes import listed_labels, spread

from connectomics.decoding.mending import fill_sections, join_continuations


def stack(*sections):
    """Sections of one row each as labels (Z, 1, X)."""
    return np.array(sections)[:, None]


def test_parts_above_and_below_a_lost_section_are_one():
    voxels = listed_labels(stack([1, 1, 2, 2], [0, 0, 0, 0], [3, 3, 4, 4]))
    mended = join_continuations(voxels, sections=1, overlap=0.4)
    assert mended.count == 1
    filled = fill_sections(mended, sections=1)
    assert spread(filled, filled.side, 0)[:, 0].tolist() == [[1, 1, 2, 2]] * 3


def test_two_lost_sections_need_to_be_allowed():
    voxels = listed_labels(stack([1, 1, 2, 2], [0] * 4, [0] * 4, [3, 3, 4, 4]))
    assert join_continuations(voxels, sections=1, overlap=0.4).count == 2
    mended = join_continuations(voxels, sections=2, overlap=0.4)
    assert mended.count == 1
    filled = fill_sections(mended, sections=2)
    assert spread(filled, filled.side, 0)[:, 0].tolist() == [[1, 1, 2, 2]] * 4


@pytest.mark.parametrize(
    "below",
    [
        [4, 4, 3, 3],  # the sides are swapped
        [0, 0, 3, 4],  # only the post sides overlap
        [0, 3, 3, 0],  # no post side at all
    ],
)
def test_what_does_not_continue_stays_apart(below):
    voxels = listed_labels(stack([1, 1, 2, 2], [0] * 4, below))
    assert join_continuations(voxels, sections=1, overlap=0.4).count == 2


def test_a_sliver_of_overlap_is_not_enough():
    voxels = listed_labels(stack([1, 1, 1, 1, 2, 2, 2, 2], [0] * 8, [0, 0, 3, 3, 3, 3, 4, 4]))
    # pre overlaps by 2 of 4, post by 2 of 2
    assert join_continuations(voxels, sections=1, overlap=0.5).count == 1
    assert join_continuations(voxels, sections=1, overlap=0.6).count == 2


def test_filling_leaves_other_synapses_alone():
    voxels = listed_labels(stack([1, 1, 2, 2], [3, 0, 0, 4], [1, 1, 2, 2]))
    filled = fill_sections(voxels, sections=1)
    assert spread(filled, filled.synapse)[1, 0].tolist() == [1, 0, 0, 1]
    assert spread(filled, filled.side, 0)[1, 0].tolist() == [1, 1, 2, 2]


def test_nothing_to_mend():
    voxels = listed_labels(np.zeros((3, 2, 2), int))
    assert join_continuations(voxels, sections=1, overlap=0.4).count == 0
    assert fill_sections(voxels, sections=1).index.size == 0
