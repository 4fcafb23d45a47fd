from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from connectomics.data.synapse_table import REACH, SynapseTable, VolumeSynapses
from connectomics.geometry import block_boxes, whole

LABELS = st.tuples(st.integers(1, 4), st.integers(1, 14), st.integers(1, 16)).flatmap(
    lambda shape: arrays(np.uint8, shape, elements=st.sampled_from([0] * 30 + [1, 2]))
)


def synapses_of(label: np.ndarray) -> VolumeSynapses:
    depth, height, width = label.shape
    shape = (depth, height, width)
    return VolumeSynapses.of([(whole(shape), label)], shape)


def slow_groups(label: np.ndarray) -> list[list[tuple[int, ...]]]:
    """Voxels of one number, joined pair by pair."""
    voxels = [tuple(int(i) for i in voxel) for voxel in np.argwhere(label)]
    group = list(range(len(voxels)))
    for i, a in enumerate(voxels):
        for j, b in enumerate(voxels[:i]):
            near = abs(a[0] - b[0]) <= 1 and max(abs(a[1] - b[1]), abs(a[2] - b[2])) <= REACH + 1
            if near and label[a] == label[b]:
                group = [group[j] if g == group[i] else g for g in group]
    found = [[v for v, g in zip(voxels, group, strict=True) if g == h] for h in set(group)]
    return sorted(found)


@given(LABELS)
@settings(max_examples=80, deadline=None)
def test_pieces_of_one_number_that_lie_near_are_one_synapse(label):
    synapses = synapses_of(label)
    found = [
        [synapses.voxel(n, rank) for rank in range(voxels)]
        for n, voxels in enumerate(synapses.voxels)
    ]
    assert sorted(found) == slow_groups(label)


@given(LABELS, st.data())
@settings(max_examples=60, deadline=None)
def test_a_patch_sees_what_lies_in_the_box_about_the_middle(label, data):
    size = tuple(data.draw(st.integers(1, n)) for n in label.shape)
    synapses = synapses_of(label)
    for n, seen in enumerate(synapses.seen_by(size)):
        voxels = np.array([synapses.voxel(n, rank) for rank in range(synapses.voxels[n])])
        middle = (voxels.min(axis=0) + voxels.max(axis=0) + 1) // 2
        start = np.clip(middle - np.array(size) // 2, 0, np.array(label.shape) - size)
        assert seen == np.all((voxels >= start) & (voxels < start + size), axis=1).sum()


@given(LABELS)
@settings(max_examples=60, deadline=None)
def test_what_is_read_box_by_box_holds_the_same_synapses(label):
    depth, height, width = label.shape
    shape = (depth, height, width)
    parts = [(box, label[box.slices]) for box in block_boxes(shape, (2, 5, 3))]
    found, expected = VolumeSynapses.of(parts[::-1], shape), synapses_of(label)
    for name in ("rows", "starts", "lengths", "first"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


@given(LABELS)
@settings(max_examples=60, deadline=None)
def test_what_is_packed_for_a_file_is_what_was_found(label):
    synapses = synapses_of(label)
    found = VolumeSynapses.unpacked(synapses.packed(), synapses.shape)
    for name in ("rows", "starts", "lengths", "first"):
        np.testing.assert_array_equal(getattr(found, name), getattr(synapses, name))
        assert getattr(found, name).dtype == getattr(synapses, name).dtype == np.int64
    assert found.shape == synapses.shape
    assert {array.itemsize for array in synapses.packed().values()} == {1}


def test_the_numbers_of_a_large_volume_are_packed_whole():
    """Three synapses of one run each, far from one another."""
    rows = np.array([[0, 0], [70_000, 300], [5, 40_000]])
    starts, lengths = np.array([2**31 - 9, 0, 7]), np.array([1, 300, 2])
    synapses = VolumeSynapses((80_000, 50_000, 2**31), rows, starts, lengths, np.arange(4))
    found = VolumeSynapses.unpacked(synapses.packed(), synapses.shape)
    for name in ("rows", "starts", "lengths", "first"):
        np.testing.assert_array_equal(getattr(found, name), getattr(synapses, name))
    assert synapses.packed()["x"].dtype == np.int32
    assert synapses.packed()["lengths"].dtype == np.int16


def test_a_small_whole_synapse():
    """Specks, however many, hold too few voxels to be small synapses."""
    label = np.zeros((6, 60, 200), np.uint8)
    label[1:5, 5:15, 5:15] = 1  # 400 voxels
    label[1:5, 5:15, 40:55] = 1  # 600
    label[1:5, 5:25, 80:120] = 1  # 3200, of which a patch sees 1280
    for x in range(0, 200, 20):
        label[0, 45, x] = 1
    table = SynapseTable([synapses_of(label)], (4, 16, 20))
    assert table.sizes.tolist() == [1] * 10 + [400, 600, 1280]
    assert table.small == 400


def test_synapses_are_drawn_evenly_and_specks_rarely():
    first, second = np.zeros((1, 20, 80), np.uint8), np.zeros((2, 20, 80), np.uint8)
    first[0, :10, :10] = 1
    first[0, :10, 60:61] = 1  # a speck of 10 voxels
    second[:, :10, :20] = 1
    table = SynapseTable([synapses_of(first), synapses_of(second)], (1, 20, 80))
    assert table.small == 100
    rng = np.random.default_rng(0)
    drawn = [table.draw(rng) for _ in range(4000)]
    of = {(0, False): 0, (0, True): 0, (1, False): 0}
    for volume, (_, _, x) in drawn:
        of[volume, x >= 60] += 1
    assert of[0, False] / 4000 == pytest.approx(100 / 210, abs=0.03)
    assert of[1, False] / 4000 == pytest.approx(100 / 210, abs=0.03)
    assert of[0, True] / 4000 == pytest.approx(10 / 210, abs=0.02)
    assert {voxel for volume, voxel in drawn if volume == 1} <= {
        tuple(int(i) for i in voxel) for voxel in np.argwhere(second)
    }


def test_nothing_labelled():
    table = SynapseTable([synapses_of(np.zeros((2, 4, 4), np.uint8))], (1, 2, 2))
    assert table.small == 0
    assert len(table.sizes) == 0


def test_specks_and_slivers_are_not_whole():
    label = np.zeros((1, 30, 60), np.uint8)
    label[0, 0, 0] = 1
    label[0, 10:20, 0:10] = 2
    label[0, 10:20, 30:50] = 3
    synapses = synapses_of(label)
    assert synapses.voxels.tolist() == [1, 100, 200]
    assert synapses.whole.tolist() == [False, True, True]


def test_sizes_are_of_synapses_that_no_face_has_cut():
    label = np.zeros((5, 20, 20), np.uint16)
    label[1:4, 2:6, 2:6] = 1  # 48 voxels, whole
    label[:2, 10:14, 2:6] = 2  # 32, at the first section
    label[1:4, 2:6, 16:] = 3  # 48, at the last column
    label[2, 12, 12] = 4  # a speck
    found = synapses_of(label)
    assert found.whole_sizes.tolist() == [48]
    cut = synapses_of(label[:3])
    assert sorted(cut.whole_sizes.tolist()) == [32, 32, 32]  # each touches a face
