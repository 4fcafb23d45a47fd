"""How label volumes are read, and how semantic and binary ones are grouped."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from connectomics.decoding import polarity2instance
from connectomics.errors import DataError
from connectomics.evaluation import (
    group_components,
    group_semantic,
    interpret,
    likely_encoding,
)


def same_partition(first, second):
    """Whether two labelings are equal up to the ids."""
    pairs = set(zip(first.flat, second.flat, strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(bool, st.tuples(*[st.integers(1, 7)] * 3)), st.sampled_from([0, 1, 3, 5]))
def test_grouping_is_dilation_in_plane_and_six_connected_components(mask, size):
    square = np.ones((1, max(size, 1), max(size, 1)), bool)
    grown = ndimage.binary_dilation(mask, square)
    expected = ndimage.label(grown)[0] * mask
    assert same_partition(group_components(mask, dilate_sz=size), expected)


@settings(max_examples=50, deadline=None)
@given(
    hnp.arrays(
        np.uint8, st.tuples(*[st.integers(1, 12)] * 3), elements=st.sampled_from([0] * 6 + [1, 2])
    ),
    st.sampled_from([0, 1, 3, 5]),
)
def test_semantic_labels_are_grouped_as_the_baseline_decoder_does(semantic, size):
    """The decoder given the truth as probabilities, with no piece too small for it."""
    probabilities = np.stack([semantic == 1, semantic == 2, semantic > 0])
    decoded = polarity2instance(probabilities, thres_small=0, dilate_sz=size)
    grouped = group_semantic(semantic, dilate_sz=size)
    np.testing.assert_array_equal(grouped > 0, decoded > 0)
    np.testing.assert_array_equal(grouped % 2, decoded % 2)
    assert same_partition(grouped, decoded)


def test_sections_are_not_dilated_into_one_another():
    mask = np.zeros((3, 1, 9), bool)
    mask[0, 0, 0] = mask[2, 0, 0] = mask[0, 0, 4] = mask[0, 0, 8] = mask[1, 0, 8] = True
    components = group_components(mask, dilate_sz=5)
    assert components[0, 0, [0, 4, 8]].tolist() == [1, 1, 1]
    assert components[1, 0, 8] == 1
    assert components[2, 0, 0] == 2


def test_semantic_labels_become_synapses():
    semantic = np.zeros((1, 5, 20), np.uint8)
    semantic[0, 0, :2], semantic[0, 0, 2:4] = 1, 2
    semantic[0, 4, 15] = 2
    grouped = group_semantic(semantic)
    assert grouped[0, 0, :4].tolist() == [1, 1, 2, 2]
    assert grouped[0, 4, 15] == 4
    assert grouped.dtype == np.uint8


def test_ids_do_not_wrap_where_they_outgrow_a_byte():
    semantic = np.zeros((1, 200, 13), np.uint8)
    semantic[0, ::6, 0], semantic[0, ::6, 1] = 1, 2
    semantic[0, ::6, 11], semantic[0, ::6, 12] = 1, 2
    semantic = np.repeat(semantic, 9, axis=0)
    semantic[1::2] = 0
    grouped = group_semantic(semantic)
    n = 34 * 2 * 5
    assert np.unique(grouped).tolist() == list(range(2 * n + 1))


def test_auto_takes_two_pre_sides_apart_for_semantic():
    labels = np.array([[[1, 2, 0, 0, 0, 0, 0, 2, 1]]])
    read = interpret("truth", labels, sided=True)
    assert read.encoding == "semantic"
    assert read.labels.tolist() == [[[1, 2, 0, 0, 0, 0, 0, 4, 3]]]
    assert read.notes[0].startswith("Semantic truth was grouped into objects: 6-connected")


@pytest.mark.parametrize(
    "values",
    [
        [1, 2, 0, 0, 0, 0, 0, 0],  # one synapse
        [1, 0, 0, 0, 0, 0, 0, 2],  # one synapse in two places
        [1, 2, 0, 0, 0, 0, 3, 4],  # 3 is not semantic
        [0, 0, 0, 0, 0, 0, 0, 0],
    ],
)
def test_auto_leaves_what_may_be_one_synapse_alone(values):
    labels = np.array([[values]])
    read = interpret("truth", labels, sided=True)
    assert (read.encoding, read.notes) == ("polarity", ())
    assert read.labels is labels


def test_auto_takes_one_value_in_two_places_for_binary():
    read = interpret("truth", np.array([[[255, 0, 0, 255]]]), sided=False)
    assert (read.encoding, read.labels.tolist()) == ("binary", [[[1, 0, 0, 2]]])
    for labels in ([[[1, 1, 0, 0]]], [[[1, 0, 0, 2]]]):
        assert interpret("truth", np.array(labels), sided=False).encoding == "instance"


def test_unlabelled_voxels_connect_nothing():
    labels = np.array([[[1, 2, 2, 2, 1]]])
    mask = np.array([[[1, 1, 0, 1, 1]]])
    read = interpret("truth", labels, "semantic", sided=True, mask=mask, dilate_sz=0)
    assert read.labels.tolist() == [[[1, 2, 0, 4, 3]]]


def test_the_binary_grouping_can_bridge_gaps():
    labels = np.array([[[1, 0, 0, 1]]])
    read = interpret("truth", labels, "binary", sided=False, dilate_sz=3)
    assert read.labels.tolist() == [[[1, 0, 0, 1]]]


@pytest.mark.parametrize(
    ("labels", "encoding", "said"),
    [
        (np.array([[[3]]]), "semantic", "holds 0, 1 and 2; this one holds 3"),
        (np.array([[[-1]]]), "semantic", "negative labels"),
        (np.array([[[0.5]]]), "auto", "dtype is float64"),
        (np.array([[1]]), "semantic", "has shape \\(1, 1\\)"),
    ],
)
def test_labels_that_do_not_fit(labels, encoding, said):
    with pytest.raises(DataError, match=said):
        interpret("truth", labels, encoding, sided=True)


@pytest.mark.parametrize("size", [-1, 2, 4])
def test_a_square_needs_a_middle(size):
    with pytest.raises(DataError, match="is not odd"):
        group_components(np.ones((1, 1, 1), bool), dilate_sz=size)


def volume_of(*boxes):
    """(1, 30, 90) labels: (label, first column) draws a block of 4 x 4 voxels in row 3."""
    labels = np.zeros((1, 30, 90), np.uint16)
    for label, x in boxes:
        labels[0, 3:7, x : x + 4] = label
    return labels


@pytest.mark.parametrize(
    ("labels", "encoding"),
    [
        (volume_of((3, 0), (4, 4), (7, 40), (8, 45)), "polarity"),
        (volume_of((1, 0), (2, 4), (1, 40), (2, 44)), "semantic"),
        (volume_of((2, 0), (2, 40)), "semantic"),
        (volume_of((1, 0), (2, 13)), "polarity"),  # one synapse
        (volume_of((1, 0), (2, 40)), "auto"),  # one synapse, or half of two, or two objects
        (volume_of((2, 0)), "auto"),
        (volume_of((1, 0), (3, 5)), "instance"),  # 1 and 3 are pre sides of two synapses
        (volume_of((2, 0), (3, 4)), "instance"),
        (volume_of((1, 0), (2, 30), (3, 60)), "instance"),
        (volume_of(*((n, 4 * n - 4) for n in range(1, 19)), (19, 72), (20, 86)), "polarity"),
        (volume_of(*((n, 4 * n - 4) for n in range(1, 17)), (17, 64), (18, 86)), "instance"),
        (volume_of((3, 0), (4, 13)), "polarity"),
        (volume_of((3, 0), (4, 14)), "instance"),  # 11 columns apart
        (volume_of((255, 0), (255, 60)), "binary"),
        (volume_of((1, 0), (1, 60)), "binary"),
        (volume_of((7, 0)), "instance"),
        (volume_of(), "auto"),
    ],
)
def test_labels_of_which_nobody_says_how_they_are_stored(labels, encoding):
    assert likely_encoding(labels) == encoding


def test_huge_ids_are_told_apart():
    labels = volume_of((3, 0), (4, 4)).astype(np.uint64)
    labels[labels == 3] = 2**60 + 1
    labels[labels == 4] = 2**60 + 2
    assert likely_encoding(labels) == "polarity"
