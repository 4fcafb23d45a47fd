from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from connectomics.data.foreground import (
    DenseForegroundTable,
    ForegroundTable,
)
from connectomics.data.synapse_table import VolumeSynapses
from connectomics.geometry import block_boxes, whole

SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 7))
VOLUMES = SHAPES.flatmap(lambda shape: arrays(bool, shape))


def tables(foreground: np.ndarray) -> list[ForegroundTable]:
    depth, height, width = foreground.shape
    shape, step = (depth, height, width), (2, 2, 3)
    parts = [(box, foreground[box.slices]) for box in block_boxes(shape, step)]
    read = [[(whole(shape), foreground)], parts[::-1]]
    return [
        DenseForegroundTable(foreground),
        *(VolumeSynapses.of(boxes, shape).foreground() for boxes in read),
    ]


@given(VOLUMES, st.data())
@settings(max_examples=150, deadline=None)
def test_both_tables_count_exactly(foreground, data):
    start, size = [], []
    for length in foreground.shape:
        first = data.draw(st.integers(0, length - 1))
        start.append(first)
        size.append(data.draw(st.integers(1, length - first)))
    box = tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))
    expected = int(foreground[box].sum())
    for table in tables(foreground):
        assert table.count(tuple(start), tuple(size)) == expected
        assert table.total == foreground.sum()
        assert table.shape == foreground.shape


@given(VOLUMES)
@settings(max_examples=80, deadline=None)
def test_both_tables_give_the_foreground_back(foreground):
    voxels = [tuple(int(i) for i in voxel) for voxel in np.argwhere(foreground)]
    for table in tables(foreground):
        assert [table.foreground_voxel(rank) for rank in range(table.total)] == voxels
        for z, section in enumerate(foreground):
            np.testing.assert_array_equal(table.section(z), section)


@given(VOLUMES, st.data())
@settings(max_examples=80, deadline=None)
def test_the_fullest_box_is_known(foreground, data):
    size = tuple(data.draw(st.integers(1, length)) for length in foreground.shape)
    windows = np.lib.stride_tricks.sliding_window_view(foreground, size)
    fullest = int(windows.sum(axis=(3, 4, 5)).max())
    for table in tables(foreground):
        assert table.reaches(size, 0)
        assert table.reaches(size, fullest)
        assert not table.reaches(size, fullest + 1)


def test_runs_that_touch_across_rows_and_sections():
    foreground = np.zeros((2, 2, 3), dtype=bool)
    foreground[0, 0, 2] = foreground[0, 1, 0] = foreground[0, 1, 2] = foreground[1, 0, 0] = True
    for table in tables(foreground):
        assert table.count((0, 0, 0), (2, 2, 1)) == 2
        assert table.count((0, 0, 2), (2, 2, 1)) == 2
        assert table.count((0, 0, 1), (2, 2, 1)) == 0


def test_counts_are_whole_numbers_of_python():
    for table in tables(np.ones((2, 2, 2), dtype=bool)):
        assert type(table.count((0, 0, 0), (1, 2, 2))) is int
        assert type(table.total) is int
