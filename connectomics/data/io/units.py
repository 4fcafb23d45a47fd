"""Lengths as image formats write them, in nanometres."""

from __future__ import annotations

# OME-Zarr writes UDUNITS names, OME-TIFF symbols, ImageJ whatever its user typed.
NANOMETRES = {
    "angstrom": 0.1,
    "å": 0.1,
    "picometer": 1e-3,
    "pm": 1e-3,
    "nanometer": 1.0,
    "nm": 1.0,
    "micrometer": 1e3,
    "micron": 1e3,
    "microns": 1e3,
    "um": 1e3,
    "µm": 1e3,  # micro sign
    "μm": 1e3,  # Greek mu
    "\\u00b5m": 1e3,  # ImageJ's own escape of the micro sign
    "millimeter": 1e6,
    "mm": 1e6,
    "centimeter": 1e7,
    "cm": 1e7,
    "meter": 1e9,
    "m": 1e9,
}


def nanometres_per(unit: str | None) -> float | None:
    """Nanometres in one `unit`, or None where it is no length ("pixel", nothing).

    >>> nanometres_per("micrometer"), nanometres_per("µm"), nanometres_per("pixel")
    (1000.0, 1000.0, None)
    """
    word = (unit or "").strip().lower().replace("metre", "meter")
    return NANOMETRES.get(word) or NANOMETRES.get(word.removesuffix("s"))
