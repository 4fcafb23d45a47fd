"""One pre side and several post partners."""

from __future__ import annotations

import time

import numpy as np
import pytest
from synapse_volumes import listed_labels, spread

from connectomics.decoding.polyadic import split_by_neuron, split_partners

ANY = {"share": 0.2, "part_nm3": 0.0}


def site(gap):
    """A pre row of synapse 1 and, below it, three post pieces with `gap` columns between."""
    below = ([2] * 6 + [0] * gap) * 2 + [2] * 6
    return np.array([[[1] * len(below), below]])


def test_three_partners_share_the_pre_side_by_distance():
    voxels = listed_labels(site(gap=4))
    split = split_partners(voxels, apart_nm=24.0, **ANY)
    assert split.count == 3
    synapse = spread(split, split.synapse)[0]
    assert synapse[1].tolist() == [0] * 6 + [-1] * 4 + [1] * 6 + [-1] * 4 + [2] * 6
    assert np.delete(synapse[0], [7, 8, 17, 18]).tolist() == [0] * 7 + [1] * 8 + [2] * 7
    assert split.side_sizes()[1].tolist() == [6, 6, 6]


def test_pieces_that_are_near_each_other_are_one():
    assert split_partners(listed_labels(site(gap=2)), apart_nm=24.0, **ANY).count == 1


def test_pieces_that_are_nowhere_near_are_partners_at_distance_0():
    assert split_partners(listed_labels(site(gap=2)), apart_nm=0.0, **ANY).count == 3


def test_thousands_of_pieces_of_one_synapse_take_seconds():
    labels = np.zeros((8, 64, 65), int)
    labels[:, ::2, ::2] = np.arange(8)[:, None, None] % 2 + 1
    labels[:, 1::2, ::2] = 1
    noise = np.random.default_rng(0).random(labels.shape) < 0.5
    voxels = listed_labels(np.where(noise & (labels == 1), 2, np.maximum(labels, 1)))
    start = time.process_time()
    split = split_partners(voxels, apart_nm=0.0, share=0.2, part_nm3=1e9)
    assert split.count == 1
    assert time.process_time() - start < 10


def test_a_lost_section_does_not_make_partners():
    labels = np.zeros((3, 2, 6), int)
    labels[:, 0], labels[[0, 2], 1] = 1, 2
    assert split_partners(listed_labels(labels), apart_nm=24.0, **ANY).count == 1


@pytest.mark.parametrize(("aside", "found"), [(4, 1), (5, 2)])
def test_the_steps_of_a_plate_that_lies_aslant_are_one(aside, found):
    """The second piece begins a section later, up to 3 voxels (24 nm of 30) or 4 further on."""
    labels = np.zeros((2, 2, 12), int)
    labels[:, 0] = 1
    labels[0, 1, :3] = labels[1, 1, 1 + aside : 4 + aside] = 2
    assert split_partners(listed_labels(labels), apart_nm=24.0, **ANY).count == found


def test_partners_that_begin_a_section_later_stay_apart():
    """They lie beside each other, four voxels apart, where both are."""
    labels = np.zeros((3, 2, 12), int)
    labels[:, 0] = 1
    labels[:2, 1, :4] = labels[1:, 1, 8:] = 2
    assert split_partners(listed_labels(labels), apart_nm=24.0, **ANY).count == 2


@pytest.mark.parametrize("rule", [{"share": 1.0, "part_nm3": 0}, {"share": 0, "part_nm3": 1e6}])
def test_small_pieces_are_no_partners(rule):
    labels = site(gap=4)
    labels[0, 1, :6] = [2, 2, 2, 2, 0, 0]
    split = split_partners(listed_labels(labels), apart_nm=24.0, **rule)
    assert split.count == (1 if rule["part_nm3"] else 2)


def test_neurons_tell_partners_that_touch_apart():
    labels = np.array([[[1] * 12, [2] * 12]])
    neuron = np.array([[[9] * 12, [5] * 5 + [0] + [7] * 5 + [9]]])
    voxels = listed_labels(labels)
    split = split_by_neuron(voxels, neuron.ravel(), **ANY | {"share": 0.5})
    synapse = spread(split, split.synapse)[0]
    assert synapse[1, [0, 4, 6, 10, 11]].tolist() == [0, 0, 1, 1, 1]  # 9 is too small a share
    assert synapse[0, [0, 4, 6, 11]].tolist() == [0, 0, 1, 1]


def test_what_spills_weakly_into_a_neuron_makes_no_partner():
    labels = np.array([[[1] * 12, [2] * 12]])
    neuron = np.array([[[9] * 12, [5] * 6 + [7] * 6]])
    voxels = listed_labels(labels)
    weak = (neuron.ravel() == 7) & (voxels.side == 2)
    for p, count in ((0.5, 1), (0.7, 2)):  # of 0.9, against CORE
        post = np.where(weak, p, 0.9).astype(np.float32)
        split = split_by_neuron(voxels.weigh(voxels.pre, post, voxels.union), neuron.ravel(), **ANY)
        assert split.count == count


def test_one_partner_stays_one_synapse():
    voxels = listed_labels([[[1, 1, 2, 2]]])
    assert split_by_neuron(voxels, np.array([3, 3, 4, 4]), **ANY).count == 1
    assert split_by_neuron(voxels, np.zeros(4, int), **ANY).count == 1
