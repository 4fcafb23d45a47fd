from __future__ import annotations

import numpy as np
import pytest

from connectomics.data.io.header import (
    check_array,
    check_attributes,
    plain,
    split_attributes,
    three_numbers,
    voxel_size,
)
from connectomics.errors import DataError

UINT8 = np.dtype(np.uint8)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "uint64", "float16", "float64"])
@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 2, 3, 4)])
def test_volumes_of_numbers_are_accepted(dtype: str, shape: tuple[int, ...]) -> None:
    check_array("a.h5", shape, np.dtype(dtype))


@pytest.mark.parametrize("dtype", ["complex64", "S5", "U3", "O", "M8[s]", "V3", "longdouble"])
def test_other_types_are_refused(dtype: str) -> None:
    with pytest.raises(DataError, match=r"a\.h5: holds .*no grey value"):
        check_array("a.h5", (2, 3, 4), np.dtype(dtype))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((30, 40), "one 2-D image of 30 x 40"),
        ((30,), "has 1 axes"),
        ((), "has 0 axes"),
        ((1, 1, 2, 3, 4), r"has 5 axes \(1 x 1 x 2 x 3 x 4\)"),
        ((2, 0, 4), "is empty"),
    ],
)
def test_other_shapes_are_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_array("a.h5", shape, UINT8)


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


@pytest.mark.parametrize(
    "value", [[40, 4], 4, "high", [40, 4, 0], [40, 4, -4], [40, 4, float("nan")], [4, 4, "x"]]
)
def test_an_unusable_voxel_size_is_an_error(value: object) -> None:
    with pytest.raises(DataError, match=r"a\.h5: its 'resolution' is .*\(z, y, x\)"):
        voxel_size("a.h5", "resolution", value)


def test_an_offset_may_be_negative() -> None:
    assert three_numbers("a.h5", "offset", [-1, 0, 2]) == (-1.0, 0.0, 2.0)


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


@pytest.mark.parametrize("name", ["resolution", "offset", "voxel_size"])
def test_attributes_must_not_shadow_the_header(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        check_attributes({name: [1, 2, 3]})
