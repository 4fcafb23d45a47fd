"""Voxel sizes and offsets: what is one, which agree, and which are likely a slip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from connectomics.data.io.header import Resolution, size_text
from connectomics.data.io.units import is_unknown, nanometres_per
from connectomics.errors import DataError, warn

# Voxel sizes are often rounded (4.6 for 4.58); further apart than this they contradict.
TOLERANCE = 0.01

# In nm. No electron microscope resolves less, and no section is thicker.
SMALLEST, LARGEST = 0.5, 1000.0


def voxel_size(source: str, name: str, value: Any) -> Resolution:
    """Check a voxel size (z, y, x) and give it as floats.

    Raises:
        DataError: It is not three positive numbers.
    """
    sizes = three_numbers(source, name, value)
    if min(sizes) <= 0:
        raise _bad_attribute(source, name, value, "three positive numbers")
    return sizes


def three_numbers(source: str, name: str, value: Any) -> Resolution:
    """Check a (z, y, x) attribute and give it as floats.

    Raises:
        DataError: It is not three finite numbers.
    """
    try:
        z, y, x = (float(v) for v in value)
    except (TypeError, ValueError, OverflowError):
        raise _bad_attribute(source, name, value, "three numbers") from None
    if not np.isfinite([z, y, x]).all():
        raise _bad_attribute(source, name, value, "three finite numbers")
    return z, y, x


def _bad_attribute(source: str, name: str, value: Any, expected: str) -> DataError:
    return DataError(
        source,
        f"its {name!r} is {value!r}, not {expected} (z, y, x).",
        "Correct it. In a file it may also be deleted, and the voxel size given in the config.",
    )


def in_nm(source: str, values: Sequence[float], units: Sequence[str | None]) -> Resolution | None:
    """Convert lengths along z, y and x to nm.

    Returns:
        (z, y, x), or None where a unit is no length; if it is one that is not known, that is said.

    >>> in_nm("em.zarr", (0.05, 4.6, 4.6), ("um", "nm", "nm"))
    (50.0, 4.6, 4.6)
    """
    for unit in dict.fromkeys(units):
        if is_unknown(unit):
            problem = f"gives sizes in {unit!r}, which is no unit known here; they are not used."
            warn(source, problem, "Give the voxel size in the config: resolution, nm (z, y, x).")
    factors = [nanometres_per(unit) for unit in units]
    if any(factor is None for factor in factors):
        return None
    # Nine digits undo the rounding of 0.0046 · 1000.
    z, y, x = (
        round(float(value) * (factor or 1.0), 9)
        for value, factor in zip(values, factors, strict=True)
    )
    return z, y, x


def one_size(source: str, stated: Mapping[str, Resolution | None]) -> Resolution | None:
    """The voxel size of a file that may state it in several ways.

    Args:
        source: For messages.
        stated: nm (z, y, x) by what it is called in the file, None where it is not there.

    Returns:
        The first, or None where there is none.

    Raises:
        DataError: One contradicts another, or is not positive.
    """
    sizes = {
        name: voxel_size(source, name, size) for name, size in stated.items() if size is not None
    }
    first, *others = sizes or [""]
    for other in others:
        if not agree(sizes[first], sizes[other]):
            raise DataError(
                source,
                f"its {first!r} says {size_text(sizes[first])} nm per voxel (z, y, x), its "
                f"{other!r} {size_text(sizes[other])}.",
                "Correct or remove the one that is wrong.",
            )
    return sizes.get(first)


def agree(size: Resolution, other: Resolution) -> bool:
    """Whether two voxel sizes are the same but for rounding.

    >>> agree((50, 4.6, 4.6), (50, 4.58, 4.6)), agree((30, 8, 8), (30, 8, 8.1))
    (True, False)
    """
    return all(abs(b / a - 1) <= TOLERANCE for a, b in zip(size, other, strict=True))


def are_reversed(size: Resolution, other: Resolution) -> bool:
    """Whether one voxel size is the other in the order (x, y, z)."""
    z, y, x = other
    return agree(size, (x, y, z))


def doubt(size: Resolution) -> str:
    """What is likely wrong with a voxel size in nm; empty where it is an ordinary one.

    >>> doubt((0.04, 0.004, 0.004))
    'No electron micrograph is that fine. It looks like micrometres: 40 x 4 x 4 nm?'
    >>> doubt((8, 8, 30))
    'Sections are not thinner than pixels by that much. It looks like (x, y, z): 30 x 8 x 8?'
    >>> doubt((30, 8, 8))
    ''
    """
    z, y, x = size
    if min(size) < SMALLEST:
        return f"No electron micrograph is that fine.{_other_unit(size)}"
    if max(size) > LARGEST:
        return f"No section is that thick, no pixel that wide.{_other_unit(size)}"
    if max(y, x) > 2 * z:
        backwards = f" It looks like (x, y, z): {size_text((x, y, z))}?" if x > 2 * z else ""
        return f"Sections are not thinner than pixels by that much.{backwards}"
    return ""


def _other_unit(size: Resolution) -> str:
    """The unit in which a voxel size would be an ordinary one."""
    for name, factor in (("micrometres", 1e3), ("picometres", 1e-3), ("millimetres", 1e6)):
        converted = [round(value * factor, 9) for value in size]
        if min(converted) >= SMALLEST and max(converted) <= LARGEST:
            return f" It looks like {name}: {size_text(converted)} nm?"
    return ""
