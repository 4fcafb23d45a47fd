from __future__ import annotations

import numpy as np
import pytest

from connectomics.data.io.axes import AxisView, volume_axes
from connectomics.errors import DataError


def test_a_view_orders_and_drops_axes() -> None:
    array = np.arange(2 * 3 * 4 * 5).reshape(1, 5, 4, 2, 3)  # t, x, y, c, z
    view = AxisView(array, order=(3, 4, 2, 1), ndim=5)
    expected = array[0].transpose(2, 3, 1, 0)
    whole = view[0:2, 0:3, 0:4, 0:5]
    assert whole.shape == (2, 3, 4, 5)
    assert np.array_equal(whole, expected)
    assert np.array_equal(view[1:2, 0:2, 3:4, 1:5], expected[1:2, 0:2, 3:4, 1:5])


@pytest.mark.parametrize(
    ("names", "shape", "expected"),
    [
        ("zyx", (5, 6, 7), (0, 1, 2)),
        ("xyz", (7, 6, 5), (2, 1, 0)),
        ("czyx", (3, 5, 6, 7), (0, 1, 2, 3)),
        ("czyx", (1, 5, 6, 7), (1, 2, 3)),
        ("tczyx", (1, 2, 5, 6, 7), (1, 2, 3, 4)),
        ("zcyx", (5, 2, 6, 7), (1, 0, 2, 3)),
    ],
)
def test_volume_axes(names: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert volume_axes("a.zarr", names, shape) == expected


def test_a_time_series_is_refused() -> None:
    with pytest.raises(DataError, match="has 4 positions along axis 't'"):
        volume_axes("a.zarr", "tzyx", (4, 5, 6, 7))


def test_metadata_of_another_array_is_refused() -> None:
    with pytest.raises(DataError, match="describes 3 axes, its shape is 2 x 5 x 6 x 7"):
        volume_axes("a.zarr", "zyx", (2, 5, 6, 7))


def test_missing_axes_are_named() -> None:
    with pytest.raises(DataError, match="its axes are c=1, y=6, x=7; z, y and x are needed"):
        volume_axes("a.zarr", "cyx", (1, 6, 7))
