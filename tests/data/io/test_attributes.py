from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from connectomics.data.io.attributes import check_attributes, plain, split_attributes
from connectomics.errors import DataError, DataWarning


def test_voxel_size_and_offset_are_told_from_the_rest() -> None:
    found = split_attributes(
        "a.h5",
        {
            "resolution": np.array([40.0, 4.0, 4.0]),
            "offset": np.array([1520, 3644, 3644]),
            "sample": np.bytes_(b"A"),
        },
    )
    assert found == ((40, 4, 4), (1520, 3644, 3644), {"sample": "A"})


def test_micrometres_become_nanometres_without_rounding_noise() -> None:
    resolution, _, rest = split_attributes("a.h5", {"element_size_um": [0.05, 0.0046, 0.0046]})
    assert resolution == (50.0, 4.6, 4.6)
    assert rest == {}


def test_plain_values() -> None:
    given = {
        "array": np.arange(3),
        "scalar": np.float64(0.5),
        "text": np.bytes_(b"a"),
        "nested": {1: (True, None)},
        "other": complex(1, 2),
    }
    assert plain(given) == {
        "array": [0, 1, 2],
        "scalar": 0.5,
        "text": "a",
        "nested": {"1": [True, None]},
        "other": "(1+2j)",
    }


def test_attributes_to_write_are_plain() -> None:
    given = {"channels": ["pre", "post"], "count": np.int64(3), "nested": {"a": (1, 2)}}
    assert check_attributes(given) == {
        "channels": ["pre", "post"],
        "count": 3,
        "nested": {"a": [1, 2]},
    }


def test_attributes_json_cannot_hold_are_refused() -> None:
    with pytest.raises(TypeError):
        check_attributes({"function": len})


@pytest.mark.parametrize("name", ["resolution", "offset", "voxel_size", "units", "axes"])
def test_attributes_must_not_shadow_the_header(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        check_attributes({name: [1, 2, 3]})


def stated(attributes: dict[str, Any], axes: str = "zyx") -> tuple[Any, Any]:
    resolution, offset, _ = split_attributes("a.h5", attributes, tuple(axes))
    return resolution, offset


@pytest.mark.parametrize(
    ("attributes", "resolution", "offset"),
    [
        ({"voxel_size": [0.03, 0.008, 0.008], "units": ["um"] * 3}, (30, 8, 8), None),
        (
            {"voxel_size": [30, 8, 8], "units": ["nm"] * 3, "offset": [0, 0, 0]},
            (30, 8, 8),
            (0,) * 3,
        ),
        ({"resolution": [0.05, 4.6, 4.6], "units": ["µm", "nm", "nm"]}, (50, 4.6, 4.6), None),
        ({"resolution": [300, 80, 80], "unit": "Å", "offset": [10, 0, 5]}, (30, 8, 8), (1, 0, 0.5)),
        ({"spacing": [3e-5, 8e-6, 8e-6], "unit": "millimetre"}, (30, 8, 8), None),
        ({"spacing": [30, 8, 8]}, (30, 8, 8), None),
        ({"resolution_um": [0.03, 0.008, 0.008], "offset": [30, 0, 0]}, (30, 8, 8), (30, 0, 0)),
        ({"resolution": [30, 8, 8], "units": "pixel"}, None, None),
        ({"offset": [1, 2, 3], "units": "micron"}, None, (1000, 2000, 3000)),
    ],
)
def test_units_are_applied(attributes: dict[str, Any], resolution: Any, offset: Any) -> None:
    assert stated(attributes) == (resolution, offset)


@pytest.mark.parametrize(
    ("axes", "size", "units"),
    [
        ("xyz", [8, 9, 30], ["nm"] * 3),
        ("czyx", [30, 9, 8], ["nm"] * 3),
        ("czyx", [1, 30, 9, 8], ["", "nm", "nm", "nm"]),
        ("xyzc", [0.008, 9, 30, 1], ["um", "nm", "nm", ""]),
        ("txcyz", [8, 9, 0.03], ["nm", "nm", "um"]),
    ],
)
def test_sizes_stand_in_the_order_of_the_axes(axes: str, size: list[float], units: Any) -> None:
    assert stated({"voxel_size": size, "units": units}, axes) == ((30, 9, 8), None)


def test_a_unit_that_is_not_known_is_named_and_not_taken_for_nm() -> None:
    with pytest.warns(
        DataWarning, match=r"a\.h5: gives sizes in 'furlong', which is no unit known"
    ):
        assert stated({"voxel_size": [30, 8, 8], "units": "furlong"}) == (None, None)


def test_what_else_is_called_spacing_is_left_alone() -> None:
    given = {"spacing": 3, "units": "counts", "transform": [1, 2], "axes": "of the ship"}
    assert split_attributes("a.h5", given) == (None, None, given)


def test_cosems_transform_has_axes_of_its_own() -> None:
    transform = {"axes": ["x", "y", "z"], "scale": [4, 5, 40], "translate": [1, 2, 3]}
    for units, factor in (({}, 1), ({"units": ["um"] * 3}, 1000)):
        given = {"transform": transform | units}
        assert stated(given) == (
            (40 * factor, 5 * factor, 4 * factor),
            (3 * factor, 2 * factor, factor),
        )


def test_the_pixel_resolution_of_n5_viewer_is_x_y_z_and_of_the_finest_level() -> None:
    given: dict[str, Any] = {"pixelResolution": {"unit": "um", "dimensions": [0.004, 0.005, 0.04]}}
    assert stated(given) == ((40, 5, 4), None)
    assert stated(given | {"downsamplingFactors": [2, 2, 1]}) == ((40, 10, 8), None)
    assert stated(given | {"resolution": [30, 8, 8]}) == ((30, 8, 8), None)


def test_voxel_sizes_that_contradict_each_other_are_refused() -> None:
    assert stated({"resolution": [40, 4.6, 4.6], "voxel_size": [40, 4.60001, 4.6]})[0][1] == 4.6
    with pytest.raises(DataError) as caught:
        stated({"resolution": [40, 4, 4], "element_size_um": [0.04, 0.008, 0.008]})
    text = str(caught.value)
    assert "its 'resolution' says 40 x 4 x 4 nm per voxel (z, y, x)" in text
    assert "its 'element_size_um' 40 x 8 x 8" in text
