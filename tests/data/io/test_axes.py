from __future__ import annotations

import numpy as np
import pytest

from connectomics.data.io.axes import AxisView, axis_words, stated_axes, volume_axes
from connectomics.errors import DataError, DataWarning


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


def test_an_axis_that_is_named_twice_is_refused() -> None:
    with pytest.raises(DataError, match="its axes are z=5, y=6, y=7; z, y and x are needed, each"):
        volume_axes("a.zarr", "zyy", (5, 6, 7))


@pytest.mark.parametrize(
    "value",
    [
        ["x", "y", "z"],
        ("X", "Y", "Z"),
        "xyz",
        "x, y, z",
        "[x y z]",
        ["width", "rows", "slices"],
        ["x (nm)", "Y [um]", "z(µm)"],
        ["x_nm", "y / pixels", "z in nm"],
        ["X-axis", "dim_y", "zdim"],
        "x (nm), y (nm), z (nm)",
        "[x (nm), y (nm), z (nm)]",
        "XYZ [nm]",
        [{"name": "x", "type": "space"}, {"name": "Y"}, {"name": "depth"}],
        {"axes": ["x", "y", "z"], "scale": [1, 1, 1]},
        '{"axes": [{"key": "x", "typeFlags": 2}, {"key": "y"}, {"key": "z"}]}',
    ],
)
def test_every_dialect_names_axes(value: object) -> None:
    assert axis_words(value) == ("x", "y", "z")


def test_channels_and_time_have_names_of_their_own() -> None:
    assert axis_words(["c^", "time", "Z"]) == ("c", "t", "z")
    assert axis_words([{"name": "l", "type": "channel"}, {"name": "f", "type": "time"}]) == (
        "c",
        "t",
    )


@pytest.mark.parametrize("value", [None, 3, [], [1, 2, 3], "volume", "{", '{"a": 1}', {"b": []}])
def test_what_names_no_axes(value: object) -> None:
    assert axis_words(value) is None


@pytest.mark.parametrize(
    ("stated", "shape", "expected"),
    [
        ({}, (5, 6, 7), "zyx"),
        ({}, (3, 5, 6, 7), "czyx"),
        ({}, (5, 6, 7, 1), "zyxc"),
        ({}, (1, 1, 5, 6, 7), "tczyx"),
        ({}, (1, 5, 6, 7, 1), "tzyxc"),
        ({}, (2, 1, 5, 6, 7), ""),
        ({}, (6, 7), ""),
        ({"dims": [None, "", "dim_2"]}, (5, 6, 7), "zyx"),
        ({"dims": ["phony_dim_0", "phony_dim_1", "phony_dim_2"]}, (5, 6, 7), "zyx"),
        ({"axes": "xyz", "dims": ["x", "y", "z"]}, (5, 6, 7), "xyz"),
        ({"ome": ["lambda", "z", "y", "x"], "dims": ["c", "z", "y", "x"]}, (3, 5, 6, 7), "czyx"),
    ],
)
def test_stated_axes(stated: dict[str, object], shape: tuple[int, ...], expected: str) -> None:
    assert stated_axes("a.zarr", stated, shape) == tuple(expected)


@pytest.mark.parametrize("other", [["z", "y", "x"], ["c", "x", "y", "z"]])
def test_dialects_that_contradict_each_other_are_refused(other: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        stated_axes("a.zarr", {"axes": "xyz", "dims": other}, (5, 6, 7))
    assert (
        f"its 'axes' says that its axes are x, y, z, its 'dims' that they are {', '.join(other)}"
        in str(caught.value)
    )


def test_names_that_say_nothing_are_said() -> None:
    with pytest.warns(
        DataWarning, match="its axes are called a, b, c .'dims'., which says nothing"
    ):
        assert stated_axes("a.zarr", {"dims": ["a", "b", "c"]}, (5, 6, 7)) == ("z", "y", "x")


def test_a_text_that_names_no_axes_is_said_unless_another_does() -> None:
    with pytest.warns(DataWarning, match="its axes are called 'ijk' .'axes'., which says nothing"):
        assert stated_axes("a.zarr", {"axes": "ijk"}, (5, 6, 7)) == ("z", "y", "x")
    assert stated_axes("a.zarr", {"axes": "ijk", "dims": "xyz"}, (5, 6, 7)) == ("x", "y", "z")


@pytest.mark.parametrize("name", ["x (left)", "x_raw", "xz", "dim_xy", "index"])
def test_a_name_that_is_not_surely_an_axis_is_none(name: str) -> None:
    assert axis_words(["z", "y", name]) == ("z", "y", name)


def test_where_one_axis_is_no_name_of_space_the_volume_is_refused() -> None:
    names = stated_axes("a.zarr", {"dims": ["z", "y", "q"]}, (5, 6, 7))
    with pytest.raises(DataError, match="its axes are z=5, y=6, q=7; z, y and x are needed"):
        volume_axes("a.zarr", names, (5, 6, 7))
