from __future__ import annotations

import pytest

from connectomics.data.io.spacing import agree, doubt, one_size, three_numbers, voxel_size
from connectomics.errors import DataError


@pytest.mark.parametrize(
    "value", [[40, 4], 4, "high", [40, 4, 0], [40, 4, -4], [40, 4, float("nan")], [4, 4, "x"]]
)
def test_an_unusable_voxel_size_is_an_error(value: object) -> None:
    with pytest.raises(DataError, match=r"a\.h5: its 'resolution' is .*\(z, y, x\)"):
        voxel_size("a.h5", "resolution", value)


def test_an_offset_may_be_negative() -> None:
    assert three_numbers("a.h5", "offset", [-1, 0, 2]) == (-1.0, 0.0, 2.0)


@pytest.mark.parametrize(
    ("size", "slip"),
    [
        ((0.04, 0.004, 0.004), "looks like micrometres: 40 x 4 x 4 nm"),
        ((40, 0.4, 0.4), "that fine"),
        ((40000, 4000, 4000), "looks like picometres: 40 x 4 x 4 nm"),
        ((2000, 4, 4), "that thick"),
        ((4, 4, 40), "looks like (x, y, z): 40 x 4 x 4"),
        ((8, 30, 8), "not thinner than pixels"),
    ],
)
def test_voxel_sizes_that_cannot_be_bring_the_likely_slip(
    size: tuple[float, float, float], slip: str
) -> None:
    assert slip in doubt(size)


@pytest.mark.parametrize(
    "size", [(40, 4, 4), (50, 4.6, 4.6), (30, 8, 8), (8, 8, 8), (4, 8, 8), (1, 1, 1), (30, 6, 12)]
)
def test_ordinary_voxel_sizes_raise_no_doubt(size: tuple[float, float, float]) -> None:
    assert doubt(size) == ""


def test_sizes_agree_but_for_rounding() -> None:
    assert agree((50, 4.6, 4.6), (50, 4.60001, 4.6))
    assert not agree((50, 4.6, 4.6), (50, 4.7, 4.6))


def test_a_size_that_is_not_positive_is_refused_wherever_it_stands() -> None:
    with pytest.raises(DataError, match=r"its 'OME-XML' is .*, not three positive numbers"):
        one_size("a.tif", {"ImageJ": None, "OME-XML": (0.0, 8.0, 8.0)})
    assert one_size("a.tif", {"ImageJ": None}) is None
