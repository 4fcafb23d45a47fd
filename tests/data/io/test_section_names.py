from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from connectomics.data.io.section_names import missing_numbers, numbers_text, section_numbers


def numbers(*names: str) -> list[float]:
    return [float(n) for n in section_numbers([Path(name) for name in names])]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["z5.png", "z10.png"], [5, 10]),
        (["00.tif", "01.tif", "19.tif"], [0, 1, 19]),
        (["sec_-1.png", "sec_0.png", "sec_1.png"], [-1, 0, 1]),
        (["sec_-2.png", "sec_-1.png"], [-2, -1]),
        (["-2.png", "-1.png", "0.png"], [-2, -1, 0]),
        (["z-0.5.png", "z0.5.png", "z1.5.png"], [-0.5, 0.5, 1.5]),
        (["z0.5.png", "z0.25.png", "z1.png"], [0.5, 0.25, 1]),
        (["sec-1.png", "sec-2.png", "sec-10.png"], [1, 2, 10]),  # a dash, no sign
        (["2016-05-01_1.png", "2016-05-01_2.png"], [1, 2]),
        (["scan1.9.png", "scan1.10.png"], [9, 10]),
        (["img.0001.tif", "img.0002.tif"], [1, 2]),
        (["slice_1_of_20.png", "slice_2_of_20.png"], [1, 2]),
        (["a_z1_f00d.png", "a_z2_12.png"], [1, 2]),
        (["Z1.png", "z2.png"], [1, 2]),
        (["em_2016_s001.png", "em_2016_s002.png"], [1, 2]),
        (["only7.png"], [7]),
        (["only.png"], []),
        (["b.png", "a.png"], []),
    ],
)
def test_numbers_of_sections(names: list[str], expected: list[float]) -> None:
    assert numbers(*names) == expected


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["z1.png", "z01.png"], "both z1.png and z01.png are section 1"),
        (["z1.png", "z1 copy.png", "z2.png"], "both z1.png and z1 copy.png are section 1"),
        (["em7_z1.png", "em7_z1_old.png"], "both em7_z1.png and em7_z1_old.png are section 1"),
        (["a_1.png", "a_2.png", "b_1.png"], "several series, such as a_1.png and b_1.png"),
        (["z1.png", "z2.png", "mean.png"], "several series, such as z1.png and mean.png"),
        (["mean.png", "z1.png", "z2.png"], "several series, such as mean.png and z1.png"),
        (["z1_c0.png", "z1_c1.png", "z2_c0.png", "z2_c1.png"], "such as z1_c0.png and z1_c1.png"),
    ],
)
def test_series_that_are_none(names: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        numbers(*names)


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ([1, 2, 4, 5, 10], [3, 6, 7, 8, 9]),
        ([0, 5, 10], []),
        ([-0.5, 0.5, 2.5], [1.5]),
        ([3], []),
        ([20160501, 20160502, 20170501], []),  # dates
        ([0, 2, 5], []),
    ],
)
def test_missing_numbers(given: list[float], missing: list[float]) -> None:
    found = missing_numbers([Decimal(str(n)) for n in given])
    assert [float(n) for n in found] == missing


def test_long_numbers_keep_their_last_digit() -> None:
    found = section_numbers([Path("20160501120301999999.png"), Path("20160501120301999998.png")])
    assert found == (Decimal("20160501120301999999"), Decimal("20160501120301999998"))


def test_numbers_as_text() -> None:
    assert numbers_text([Decimal("-0.50"), Decimal("10"), Decimal("1E+1")]) == "-0.5, 10, 10"
