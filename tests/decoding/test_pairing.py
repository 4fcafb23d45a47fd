"""Pairing of sides that were found apart."""

from __future__ import annotations

import numpy as np
import pytest
from synapse_volumes import listed_labels

from connectomics.decoding.evidence import union_between
from connectomics.decoding.pairing import orphans, pair_orphans
from connectomics.decoding.probabilities import check_probabilities


def sure(begin, end):
    return 1.0


def test_orphans_lack_a_side_or_have_a_token_of_it():
    labels = np.array([[[1, 1, 0, 4, 4, 0, 5, 6, 0] + [7] * 11 + [8]]])
    pre, post = orphans(listed_labels(labels))
    assert pre.tolist() == [0, 3]
    assert post.tolist() == [1]


@pytest.mark.parametrize(("gap_nm", "count"), [(15.9, 2), (16.0, 1), (40.0, 1)])
def test_sides_within_the_gap_are_paired(gap_nm, count):
    voxels = listed_labels([[[1, 1, 0, 0, 4, 4]]])  # two free voxels of 8 nm between them
    assert pair_orphans(voxels, sure, gap_nm=gap_nm, evidence=0.2).count == count


def test_the_nearest_pair_comes_first_and_each_has_one_partner():
    voxels = listed_labels([[[4, 0, 0, 1, 1, 0, 6, 0, 0, 0, 7]]])
    paired = pair_orphans(voxels, sure, gap_nm=80.0, evidence=0.2)
    assert paired.synapse.tolist() == [1, 0, 0, 0, 1]  # 1 with 6, which leaves 4 to 7


def test_pairs_need_evidence_between_them():
    asked = []

    def doubtful(begin, end):
        asked.append((begin.tolist(), end.tolist()))
        return 0.1

    voxels = listed_labels([[[1, 1, 0, 0, 4, 4]]])
    assert pair_orphans(voxels, doubtful, gap_nm=40.0, evidence=0.2).count == 2
    assert asked == [([0, 0, 1], [0, 0, 4])]


def test_two_of_one_side_are_no_pair():
    voxels = listed_labels([[[1, 0, 3]]])
    assert pair_orphans(voxels, sure, gap_nm=40.0, evidence=0.2) is voxels


@pytest.mark.parametrize("exclusive", [False, True])
def test_the_mean_of_the_union_on_a_line(exclusive):
    union = np.zeros((3, 1, 5), np.float32)
    union[1, 0, 1:4] = [0.2, 0.6, 0.4]
    volume = np.zeros((3, *union.shape), np.float32)
    volume[0 if exclusive else 2] = 1 - union if exclusive else union
    checked = check_probabilities(volume, channels=3, where="test")

    def mean(*ends):
        begin, end = np.array(ends)
        return union_between(checked, begin, end, exclusive=exclusive)

    assert mean((1, 0, 0), (1, 0, 4)) == pytest.approx(0.4)
    assert mean((0, 0, 2), (2, 0, 2)) == pytest.approx(0.6)
    assert mean((1, 0, 1), (1, 0, 2)) == 1.0  # nothing lies between them
