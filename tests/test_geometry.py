from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectomics.geometry import (
    Box,
    VoxelGrid,
    block_boxes,
    block_shape,
    whole,
    window_starts,
)

sizes = st.integers(1, 12)
triples = st.tuples(sizes, sizes, sizes)
places = st.tuples(*[st.integers(-5, 15)] * 3)


def box_from(start: tuple[int, int, int], size: tuple[int, int, int]) -> Box:
    return Box(start, (start[0] + size[0], start[1] + size[1], start[2] + size[2]))


def test_a_box_knows_its_shape_and_size() -> None:
    box = Box((1, 2, 3), (2, 5, 9))
    assert box.shape == (1, 3, 6)
    assert box.size == 18


def test_a_box_takes_numpy_integers_and_holds_plain_ones() -> None:
    box = Box(tuple(np.array([1, 2, 3])), tuple(np.array([4, 5, 6])))
    assert box == Box((1, 2, 3), (4, 5, 6))
    assert all(type(v) is int for v in (*box.start, *box.stop))
    assert hash(box) == hash(Box((1, 2, 3), (4, 5, 6)))


def test_a_box_cannot_stop_before_it_starts() -> None:
    with pytest.raises(ValueError, match="before it starts"):
        Box((0, 0, 5), (1, 1, 4))


def test_a_box_has_three_axes() -> None:
    with pytest.raises(ValueError, match="unpack"):
        Box((0, 0), (1, 1))


def test_slices_of_a_box_below_zero_are_refused() -> None:
    with pytest.raises(ValueError, match="clip it"):
        _ = Box((-1, 0, 0), (2, 2, 2)).slices


@given(places, triples, triples)
def test_clip_keeps_exactly_the_voxels_inside(
    start: tuple[int, int, int], size: tuple[int, int, int], shape: tuple[int, int, int]
) -> None:
    box = box_from(start, size)
    inside = np.zeros(shape, bool)
    for voxel in np.ndindex(shape):
        axes = zip(voxel, box.start, box.stop, strict=True)
        inside[voxel] = all(a <= v < b for v, a, b in axes)
    clipped = np.zeros(shape, bool)
    clipped[box.clip(shape).slices] = True
    assert np.array_equal(inside, clipped)
    assert box.fits_in(shape) == (box.clip(shape) == box)


@given(places, triples, st.integers(0, 4))
def test_grow_and_shift_can_be_undone(
    start: tuple[int, int, int], size: tuple[int, int, int], margin: int
) -> None:
    box = box_from(start, size)
    assert box.grow(margin).grow(-margin) == box
    assert box.shift((margin, -1, 2)).shift((-margin, 1, -2)) == box
    assert box.grow((margin, 0, 1)).shape == (size[0] + 2 * margin, size[1], size[2] + 2)


def test_whole_ignores_channels() -> None:
    assert whole((2, 4, 5, 6)) == whole((4, 5, 6)) == Box((0, 0, 0), (4, 5, 6))


@pytest.mark.parametrize(
    ("length", "window", "overlap", "expected"),
    [
        (40, 18, 0.5, [0, 9, 18, 22]),
        (36, 18, 0.5, [0, 9, 18]),
        (18, 18, 0.5, [0]),
        (19, 18, 0.0, [0, 1]),
        (10, 18, 0.5, [0]),
        (12, 10, 0.9, [0, 1, 2]),  # 10 * (1 - 0.9) is a little below 1 in binary
        (5, 3, 0.99, [0, 1, 2]),
        (20, 17, 0.5, [0, 3]),
        (3, 1, 0.0, [0, 1, 2]),
    ],
)
def test_window_starts_by_hand(
    length: int, window: int, overlap: float, expected: list[int]
) -> None:
    assert window_starts(length, window, overlap) == expected


@given(st.integers(1, 60), st.integers(1, 30), st.floats(0, 0.95))
def test_windows_cover_and_overlap_enough(length: int, window: int, overlap: float) -> None:
    starts = window_starts(length, window, overlap)
    covered = {v for s in starts for v in range(s, s + window)}
    assert set(range(length)) <= covered
    assert starts == sorted(set(starts))
    assert starts[0] == 0
    assert starts[-1] == max(0, length - window)
    steps = np.diff(starts)
    assert all(window - step >= min(overlap * window, window - 1) - 1e-6 for step in steps)


@pytest.mark.parametrize(
    ("length", "window", "overlap"), [(0, 4, 0.5), (4, 0, 0.5), (4, 4, 1.0), (4, 4, -0.1)]
)
def test_window_starts_refuses_nonsense(length: int, window: int, overlap: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        window_starts(length, window, overlap)


@given(triples, triples)
def test_blocks_hold_every_voxel_once(
    shape: tuple[int, int, int], block: tuple[int, int, int]
) -> None:
    counts = np.zeros(shape, int)
    for box in block_boxes(shape, block):
        assert all(a % n == 0 for a, n in zip(box.start, block, strict=True))
        counts[box.slices] += 1
    assert (counts == 1).all()


def test_blocks_need_a_size() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        block_boxes((4, 4, 4), (2, 0, 2))


def test_voxels_to_nanometres_by_hand() -> None:
    points = VoxelGrid((40, 4, 4), (1520, 3644, 3644)).to_nm([[0, 0, 0], [1, 2.5, 3]])
    assert points.tolist() == [[1520, 3644, 3644], [1560, 3654, 3656]]


@given(
    st.lists(st.tuples(*[st.floats(-1e4, 1e4)] * 3), max_size=5),
    st.tuples(*[st.floats(0.5, 100)] * 3),
    st.tuples(*[st.floats(-1e4, 1e4)] * 3),
)
def test_there_and_back_again(
    points: list[tuple[float, float, float]],
    resolution: tuple[float, float, float],
    offset: tuple[float, float, float],
) -> None:
    array = np.array(points).reshape(-1, 3)
    back = (grid := VoxelGrid(resolution, offset)).to_voxels(grid.to_nm(array))
    assert np.allclose(back, array, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("resolution", [(30, 8), (30, 8, 0), (30, 8, -8), (30, 8, np.nan)])
def test_resolution_must_be_three_positive_numbers(resolution: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"must be three"):
        VoxelGrid.of(resolution)


def test_blocks_are_whole_chunks():
    assert block_shape((100, 100, 100), (10, 20, 50), voxels=10**5) == (20, 40, 100)
    assert block_shape((3, 100, 100), (10, 200, 50), voxels=10) == (3, 100, 50)
