from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from connectomics.data.io.section_names import (
    doubts,
    missing_numbers,
    numbers_text,
    section_numbers,
)


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
        (["z\N{MINUS SIGN}1.png", "z0.png", "z1.png"], [-1, 0, 1]),
        (["z--2.png", "z--1.png"], [-2, -1]),
        (["W01_Sec001.tif", "W01_Sec002.tif", "W02_Sec003.tif"], [1, 2, 3]),
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
        (["z1_raw.png", "z2_raw.png", "z3_mask.png", "z4_mask.png"], "z1_raw.png and z3_mask.png"),
        (["z1_c0.png", "z1_c1.png", "z2_c0.png", "z2_c1.png"], "such as z1_c0.png and z1_c1.png"),
    ],
)
def test_series_that_are_none(names: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        numbers(*names)


def doubted(*names: str) -> list[str]:
    return [problem for problem, _ in doubts([Path("em") / name for name in names])]


HYPHEN = "counts z-1.png before z-2.png: - is taken for a hyphen, and may be a minus sign."
SIGN = "counts sec--2.png before sec--1.png: - is taken for a minus sign, and may be a hyphen."
TURNED = "by one of the numbers in their names; by another it is the other way round."


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["z-1.png", "z-2.png", "z-10.png"], HYPHEN),
        (["sec--1.png", "sec--2.png"], SIGN),
        (["z1_raw.png", "z3_mask.png"], "counts z1_raw.png and z3_mask.png as sections of one"),
        (["z1.png", "z2.png", "z3_mask.png"], "counts z1.png and z3_mask.png as sections of one"),
        (
            ["em1_z5.png", "em1_z6.png", "em2_z1.png"],
            f"counts em2_z1.png before em1_z5.png, {TURNED}",
        ),
        (["a1_z1.png", "a2_z2.png", "a1_z3.png"], f"counts a2_z2.png before a1_z3.png, {TURNED}"),
        (["9431_s2.png", "9502_s1.png"], f"counts 9431_s2.png before 9502_s1.png, {TURNED}"),
    ],
)
def test_what_may_be_another_order_or_two_series_is_said(names: list[str], said: str) -> None:
    (problem,) = doubted(*names)
    assert problem.startswith(said)


@pytest.mark.parametrize(
    "names",
    [
        ["s0001.tif", "s0002.tif"],
        ["z0.png", "z1.png", "z10.png"],
        ["sec-0.png", "sec-1.png"],
        [f"slice-{n}.png" for n in range(1, 13)],
        ["fly em section-1.tif", "fly em section-2.tif"],
        ["z_-1.png", "z_+0.png", "z_+1.png"],
        ["img-0001.tif", "img-0002.tif"],
        ["z-1.png", "z0.png", "z1.png"],
        ["sec_-2.png", "sec_-1.png"],
        ["2016-05-01-1.png", "2016-05-01-2.png"],
        ["2016-04-30_s1.png", "2016-05-01_s2.png"],
        ["Tile_r1-c1_S_001.tif", "Tile_r1-c1_S_002.tif"],
        ["W01_Sec001.tif", "W01_Sec002.tif", "W02_Sec003.tif"],
        ["W01_Sec001_montage.tif", "W01_Sec002_montage.tif"],
        ["s001_20160503.png", "s002_20160501.png"],
        ["a_z1_f00d.png", "a_z2_12.png"],
        ["only-7.png"],
        ["b.png", "a.png"],
    ],
)
def test_ordinary_names_raise_no_doubt(names: list[str]) -> None:
    assert doubted(*names) == []


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
