"""Lengths as image formats write them, in nanometres."""

from __future__ import annotations

# OME-Zarr writes UDUNITS names, OME-TIFF symbols, ImageJ whatever its user typed.
NANOMETRES = {
    "angstrom": 0.1,
    "a": 0.1,  # where the ring was left out
    "å": 0.1,
    "ångström": 0.1,
    "picometer": 1e-3,
    "pm": 1e-3,
    "nanometer": 1.0,
    "nm": 1.0,
    "micrometer": 1e3,
    "micron": 1e3,
    "um": 1e3,
    "mum": 1e3,
    "μm": 1e3,  # Greek mu, which the micro sign becomes in lower case
    "µm": 1e3,  # micro sign
    "\\u00b5m": 1e3,  # ImageJ's own escape of the micro sign
    "\\u03bcm": 1e3,
    "millimeter": 1e6,
    "mm": 1e6,
    "centimeter": 1e7,
    "cm": 1e7,
    "inch": 2.54e7,
    "inche": 2.54e7,  # without its plural s
    "in": 2.54e7,
    "meter": 1e9,
    "m": 1e9,
}

# Words for "nobody measured it".
NO_LENGTH = ("", "pixel", "px", "voxel", "vx", "none", "null", "unknown", "reference frame", "1")


def nanometres_per(unit: str | None) -> float | None:
    """Nanometres in one `unit`, or None where it is no length ("pixel", nothing).

    >>> nanometres_per("micrometer"), nanometres_per("µm"), nanometres_per("pixel")
    (1000.0, 1000.0, None)
    """
    return NANOMETRES.get(_word(unit))


def is_unknown(unit: str | None) -> bool:
    """Whether a unit is a word that is neither a length nor says that there is none.

    >>> is_unknown("furlong"), is_unknown("pixels"), is_unknown("nm")
    (True, False, False)
    """
    return _word(unit) not in {*NANOMETRES, *NO_LENGTH}


def is_unit(word: str) -> bool:
    """Whether a word is a length, or says of a length that it is in pixels.

    >>> is_unit("µm"), is_unit("pixels"), is_unit("left"), is_unit("")
    (True, True, False, False)
    """
    return bool(word.strip()) and _word(word) in {*NANOMETRES, *NO_LENGTH}


def _word(unit: str | None) -> str:
    word = (unit or "").strip(" \t\n\0").lower().replace("metre", "meter")
    return word[:-1] if len(word) > 3 and word.endswith("s") else word
