"""Which neurons a synapse connects."""

from __future__ import annotations

import numpy as np
import pytest
from synapse_volumes import listed_labels

from connectomics.decoding.partners import name_partners, near_other_side

RULE = {"cleft_nm": 8.0, "band_nm": 16.0}


def name(labels, neurons, **rule):
    voxels = listed_labels(labels)
    neuron = np.asarray(neurons).ravel()[voxels.index].astype(np.uint64)
    return name_partners(voxels, neuron, **{**RULE, **rule})


def test_the_cleft_has_no_vote_nor_has_what_lies_beyond_the_band():
    labels = [[[1, 1, 1, 1, 1, 2, 2, 2, 2, 2]]]
    #          beyond  band  cleft      band beyond
    neurons = [[[8, 8, 3, 4, 6, 6, 5, 5, 9, 9]]]
    found = name(labels, neurons)
    assert (found.pre.tolist(), found.post.tolist()) == ([3], [5])  # of 3 and 4 the lower id
    assert found.pre_margin == pytest.approx([0])
    assert found.post_margin == pytest.approx([1])
    assert found.autapse.tolist() == [False]


def test_evidence_weighs():
    labels = np.array([[[1, 1, 1, 1, 2, 2]]])
    voxels = listed_labels(labels)
    neuron = np.array([3, 3, 4, 6, 5, 5], np.uint64)
    pre = np.array([0.1, 0.1, 0.9, 0.9, 0, 0], np.float32)
    voxels = voxels.weigh(pre, voxels.post, voxels.union)
    found = name_partners(voxels, neuron, cleft_nm=8.0, band_nm=100.0)
    assert found.pre.tolist() == [4]
    assert found.pre_margin == pytest.approx([0.7 / 1.1], rel=1e-4)


def test_a_side_without_a_band_is_judged_by_all_its_voxels():
    found = name([[[1, 2]]], [[[3, 5]]])
    assert (found.pre.tolist(), found.post.tolist()) == ([3], [5])


def test_background_does_not_vote_and_missing_sides_have_no_neuron():
    found = name([[[1, 1, 0, 0, 0, 4, 4]]], [[[0, 0, 0, 0, 0, 0, 7]]])
    assert (found.pre.tolist(), found.post.tolist()) == ([0, 0], [0, 7])
    assert found.post_margin.tolist() == [0, 1]


def test_autapses_are_flagged():
    assert name([[[1, 1, 2, 2]]], [[[4, 4, 4, 4]]]).autapse.tolist() == [True]


def test_large_ids_keep_every_digit():
    root = 864_691_135_000_000_123
    found = name([[[1, 1, 2, 2]]], np.array([[[root, root, root + 1, root + 1]]], np.uint64))
    assert (found.pre[0], found.post[0]) == (root, root + 1)


def test_distance_is_along_axes_and_within_the_synapse():
    labels = np.array([[[1, 1, 2, 0], [1, 0, 0, 4]]])
    assert near_other_side(listed_labels(labels), 8.0).tolist() == [False, True, True, False, False]
    assert near_other_side(listed_labels(labels), 16.0)[:2].tolist() == [True, True]
