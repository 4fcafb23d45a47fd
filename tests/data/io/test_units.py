from __future__ import annotations

import pytest

from connectomics.data.io.units import nanometres_per


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
        ("angstrom", 0.1),
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
