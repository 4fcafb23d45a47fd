"""The sparse contingency table against counting pair by pair."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from connectomics import compiling
from connectomics.errors import DataError
from connectomics.evaluation import (
    ContingencyTable,
    contingency_table,
    detection_scores,
    mask_overlap,
    polarity_scores,
)

DTYPES = ((np.uint8, np.uint8), (np.int32, np.uint16), (np.uint64, np.int64))


def as_counter(table: ContingencyTable) -> Counter:
    pairs = zip(
        table.truth.ids[table.truth_index].tolist(),
        table.prediction.ids[table.prediction_index].tolist(),
        table.counts.tolist(),
        strict=True,
    )
    return Counter({(t, p): n for t, p, n in pairs})


def count_slowly(truth, prediction, mask=None):
    mask = np.ones(truth.shape, bool) if mask is None else mask
    pairs = [
        (int(t), int(p))
        for t, p, m in zip(truth.flat, prediction.flat, mask.flat, strict=True)
        if m
    ]
    both = Counter(pair for pair in pairs if pair[0] and pair[1])
    return both, Counter(t for t, _ in pairs if t), Counter(p for _, p in pairs if p)


def cut_slowly(labels, mask=None):
    """The ids on a face, among unlabelled voxels, or beside one along an axis."""
    edge = np.zeros(labels.shape, bool)
    for axis, length in enumerate(labels.shape):
        if length > 1:
            np.moveaxis(edge, axis, 0)[[0, -1]] = True
    if mask is not None:
        edge |= ndimage.binary_dilation(~mask)
    return set(labels[edge].tolist())


def assert_agrees(table, truth, prediction, mask=None):
    both, truth_sizes, prediction_sizes = count_slowly(truth, prediction, mask)
    assert as_counter(table) == both
    for objects, labels in ((table.truth, truth), (table.prediction, prediction)):
        cut = cut_slowly(labels, mask)
        assert objects.touches_border.tolist() == [i in cut for i in objects.ids.tolist()]
    for objects, sizes in ((table.truth, truth_sizes), (table.prediction, prediction_sizes)):
        assert objects.ids.tolist() == sorted(sizes)
        assert objects.sizes.tolist() == [sizes[i] for i in sorted(sizes)]


@st.composite
def volumes(draw):
    """Two label volumes with runs, a mask, and any memory layout."""
    dtypes = draw(st.sampled_from(DTYPES))
    shape = draw(hnp.array_shapes(min_dims=3, max_dims=3, max_side=6))
    # Repeating along x makes runs; the largest ids reach the end of the dtype.
    largest = [int(np.iinfo(dtype).max) - 2 for dtype in dtypes]  # CREMI's marks lie above
    ids = [[0, 1, 2, 3, top, top - 1] for top in largest]
    arrays = [
        draw(hnp.arrays(dtype, shape, elements=st.sampled_from(values)))
        for dtype, values in zip(dtypes, ids, strict=True)
    ]
    run = draw(st.integers(1, 40))
    arrays.append(draw(hnp.arrays(bool, shape)))
    arrays = [np.repeat(a, run, axis=2) for a in arrays]
    order = draw(st.permutations([0, 1, 2]))
    return [a.transpose(order) for a in arrays]


def check_agreement(arrays, threads):
    truth, prediction, mask = arrays
    assert_agrees(contingency_table(truth, prediction, threads=threads), truth, prediction)
    masked = contingency_table(truth, prediction, mask=mask, threads=threads)
    assert_agrees(masked, truth, prediction, mask)


@settings(max_examples=40, deadline=None)
@given(volumes(), st.integers(1, 3))
def test_agrees_with_counting_pair_by_pair(arrays, threads):
    check_agreement(arrays, threads)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None)
@given(volumes(), st.integers(1, 3))
def test_agrees_with_counting_pair_by_pair_in_2000_cases(arrays, threads):
    check_agreement(arrays, threads)


def test_more_pairs_than_the_first_hash_table_holds():
    rng = np.random.default_rng(0)
    truth, prediction = rng.integers(0, 300, (2, 20, 50, 50)).astype(np.uint16)
    assert_agrees(contingency_table(truth, prediction), truth, prediction)


def test_big_endian_and_bool_labels():
    truth = np.array([[[0, 1, 1, 300]]], ">i4")
    prediction = np.array([[[False, True, False, True]]])
    assert_agrees(contingency_table(truth, prediction), truth, prediction.astype(int))


def test_a_long_compilation_is_announced(monkeypatch):
    told = []

    @contextmanager
    def telling():
        told.append("before")
        yield
        told.append("after")

    monkeypatch.setattr(compiling, "announced_compilation", telling)
    contingency_table(np.array([1]), np.array([1]))
    assert told == ["before", "after"]


def test_nothing_to_count():
    for shape in ((0, 4, 4), (2, 2, 2)):
        table = contingency_table(np.zeros(shape, int), np.zeros(shape, np.uint8))
        assert (len(table.truth), len(table.prediction), table.iou().size) == (0, 0, 0)


def test_a_slab_of_a_larger_volume_is_counted_without_its_surroundings():
    whole = np.arange(4 * 6 * 8, dtype=np.int64).reshape(4, 6, 8)
    part = whole[1:3, ::2, 2:7]
    table = contingency_table(part, part[::-1])
    assert_agrees(table, part, part[::-1])


def test_border_is_each_face_and_the_edge_of_the_mask():
    truth = np.zeros((5, 5, 5), int)
    for label, corner in enumerate([(0, 2, 2), (4, 2, 2), (2, 0, 2), (2, 4, 2), (2, 2, 0)], 1):
        truth[corner] = label
    truth[2, 2, 4], truth[2, 2, 2] = 6, 7
    table = contingency_table(truth, truth)
    assert table.truth.touches_border.tolist() == [True] * 6 + [False]
    mask = np.ones(truth.shape, bool)
    mask[2, 2, 3] = False
    truth[2, 2, 3] = 7
    assert contingency_table(truth, truth, mask=mask).truth.touches_border.all()


def test_an_object_that_reaches_unlabelled_voxels_is_cut_by_them():
    """Where nobody has looked, the truth says 0 though the object may go on there."""
    truth = np.zeros((7, 7, 7), int)
    truth[3, 3, 3], truth[1, 1, 1], truth[5, 5, 5] = 1, 2, 3
    mask = np.ones(truth.shape, bool)
    mask[3, 3, 4] = mask[5, 4, 4] = False  # beside 1; only a corner away from 3
    table = contingency_table(truth, truth, mask=mask)
    assert table.truth.touches_border.tolist() == [True, False, False]
    assert table.truth.sizes.tolist() == [1, 1, 1]
    for axis in range(3):
        for step in (-1, 1):
            moved = np.roll(truth == 1, step, axis)
            table = contingency_table(truth, truth, mask=~moved)
            assert table.prediction.touches_border.tolist() == [True, False, False]


def test_an_axis_of_length_one_has_no_border():
    truth = np.zeros((1, 3, 3), int)
    truth[0, 1, 1] = 1
    assert not contingency_table(truth, truth).truth.touches_border.any()


def test_objects_outside_the_mask_do_not_exist():
    truth = np.array([1, 1, 2, 2])
    table = contingency_table(truth, truth, mask=np.array([1, 0, 0, 0]))
    assert (table.truth.ids.tolist(), table.truth.sizes.tolist()) == ([1], [1])


def test_merging_and_selecting():
    truth = np.array([1, 1, 2, 2, 3, 0])
    prediction = np.array([1, 2, 2, 4, 3, 3])
    table = contingency_table(truth, prediction)
    merged = table.merged(lambda ids: (ids + 1) // 2, lambda ids: ids)
    assert as_counter(merged) == {(1, 1): 1, (1, 2): 2, (1, 4): 1, (2, 3): 1}
    assert merged.truth.sizes.tolist() == [4, 1]
    odd = table.selected(lambda ids: ids % 2 == 1)
    assert as_counter(odd) == {(1, 1): 1, (3, 3): 1}
    assert odd.prediction.sizes.tolist() == [1, 2]


def test_lookups_of_what_is_not_there_are_zero():
    table = contingency_table(np.array([3, 3, 5]), np.array([7, 7, 0]))
    ids = np.array([3, 4, 5], np.uint64)
    assert table.truth.sizes_of(ids).tolist() == [2, 0, 1]
    assert table.shared(ids, np.array([7, 7, 7], np.uint64)).tolist() == [2, 0, 0]
    assert table.shared(ids, np.array([8, 7, 7], np.uint64)).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("truth", "prediction", "said"),
    [
        (np.array([0.5]), np.array([1]), "truth: its dtype is float64"),
        (np.array([1]), np.array([1.0], np.float32), "prediction: its dtype is float32"),
        (np.array([-3, 1]), np.array([1, 1]), "truth: it holds negative labels (smallest -3)"),
        (np.array([1, 1]), np.array([1, -1], np.int8), "prediction: it holds negative labels"),
        (np.array([1, 1]), np.array([1]), "prediction: its shape is (1,), the truth's is (2,)"),
    ],
)
def test_labels_that_are_none(truth, prediction, said):
    with pytest.raises(DataError) as error:
        contingency_table(truth, prediction)
    assert said in str(error.value)


@pytest.mark.parametrize("score", [contingency_table, mask_overlap, detection_scores])
def test_the_marks_of_cremi_are_no_objects(score):
    """A prediction that fits, against truth as CREMI stores it."""
    truth = np.array([[[2**64 - 1, 7, 7, 2**64 - 2]]], np.uint64)
    prediction = np.array([[[0, 1, 1, 0]]])
    mask = truth != 2**64 - 2
    cleaned = np.where(truth == 2**64 - 1, np.uint64(0), truth)
    for labels, counted in ((truth, mask), (cleaned, None)):
        with pytest.raises(DataError, match=r"truth: it holds CREMI's marks[\s\S]*by the mask"):
            score(labels, prediction, mask=counted)
    with pytest.raises(DataError, match="prediction: it holds CREMI's marks"):
        score(prediction, cleaned)
    score(cleaned, prediction, mask=mask)


@pytest.mark.parametrize("score", [contingency_table, polarity_scores, detection_scores])
def test_a_mask_of_another_shape(score):
    labels = np.array([[[1, 2, 0, 0, 0, 0, 0, 1, 2]]])
    with pytest.raises(DataError, match="mask: its shape"):
        score(labels, labels, mask=np.ones((1, 1, 2)))
