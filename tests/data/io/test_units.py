from __future__ import annotations

import pytest

from connectomics.data.io.units import is_unknown, nanometres_per


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("nanometer", 1.0),
        ("nanometers", 1.0),
        ("nanometre", 1.0),
        (" NM ", 1.0),
        ("micrometer", 1000.0),
        ("micron", 1000.0),
        ("microns", 1000.0),
        ("um", 1000.0),
        ("\u00b5m", 1000.0),
        ("\u03bcm", 1000.0),
        (r"\u00B5m", 1000.0),
        ("micrometres", 1000.0),
        ("angstrom", 0.1),
        ("A", 0.1),
        ("\u00c5", 0.1),
        ("inches", 2.54e7),
        ("cm", 1e7),
        ("pm", 1e-3),
        ("ms", None),
        ("ns", None),
        ("mm", 1e6),
        ("meter", 1e9),
        ("pixel", None),
        ("s", None),
        ("", None),
        (None, None),
    ],
)
def test_units(unit: str | None, expected: float | None) -> None:
    assert nanometres_per(unit) == expected


@pytest.mark.parametrize("unit", ["furlong", "s", "ms", "a.u.", "counts"])
def test_other_words_are_no_units(unit: str) -> None:
    assert is_unknown(unit)


@pytest.mark.parametrize("unit", ["", None, "pixel", "Pixels", "reference frame", "nm", "1"])
def test_that_there_is_no_unit_is_no_unknown_one(unit: str | None) -> None:
    assert not is_unknown(unit)
