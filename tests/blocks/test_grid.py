from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectomics.blocks import BlockGrid
from connectomics.geometry import Box, block_boxes

SIZES = st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))


@given(SIZES, SIZES)
def test_every_voxel_is_in_one_block(shape, block):
    grid = BlockGrid(shape, block)
    covered = np.zeros(shape, int)
    for one in grid:
        covered[one.box.slices] += 1
        assert grid.is_block(one.box)
    assert (covered == 1).all()
    assert len({one.name for one in grid}) == len(grid) == len(list(grid))
    assert [one.box for one in grid] == block_boxes(shape, block)


@pytest.mark.parametrize(
    "box",
    [
        Box((0, 0, 0), (2, 2, 1)),
        Box((0, 0, 1), (2, 2, 3)),
        Box((0, 0, 0), (2, 2, 4)),
        Box((0, 0, 4), (2, 2, 6)),
        Box((0, 0, 6), (2, 2, 7)),
        Box((-2, 0, 0), (0, 2, 2)),
    ],
)
def test_what_is_not_one_whole_block_is_none(box):
    assert not BlockGrid((2, 2, 5), (2, 2, 2)).is_block(box)


def test_millions_of_blocks_are_not_listed_at_once():
    grid = BlockGrid((10**5, 10**5, 10**5), (100, 100, 100))
    assert len(grid) == 10**9
    assert next(iter(grid)).name == "0000_0000_0000"
