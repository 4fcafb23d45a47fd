"""What the attributes of an array say, in the dialects of the programs that write them.

CREMI, funlib, ilastik, N5 Viewer and COSEM each have names of their own for voxel size and offset.
They stand in the order of the array's axes; those of N5 Viewer's `pixelResolution` in (x, y, z).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from connectomics.data.io.axes import AXIS_ATTRIBUTES, axis_words
from connectomics.data.io.header import Resolution
from connectomics.data.io.spacing import in_nm, one_size, three_numbers

# Names of voxel sizes, and the unit where the attribute `units` does not say. `resolution` is
# CREMI's, `voxel_size` funlib's, `element_size_um` ilastik's.
VOXEL_SIZES = {
    "resolution": "nm",
    "voxel_size": "nm",
    "element_size_um": "um",
    "spacing": "nm",
    "voxel_size_nm": "nm",
    "resolution_nm": "nm",
    "voxel_size_um": "um",
    "resolution_um": "um",
}
SURELY_SIZES = ("resolution", "voxel_size", "element_size_um")
"""What stands there must be a voxel size. The others are one where they are three numbers."""

OFFSET = "offset"
UNITS = ("units", "unit", "voxel_size_units", "resolution_units", "resolution_unit")
COSEM, N5_VIEWER, FACTORS = "transform", "pixelResolution", "downsamplingFactors"
ZYX = ("z", "y", "x")


def split_attributes(
    source: str, attributes: Mapping[str, Any], axes: Sequence[str] = ZYX
) -> tuple[Resolution | None, Resolution | None, dict[str, Any]]:
    """Tell the voxel size and the offset from the rest of an array's attributes.

    Args:
        source: Where they stand, for messages.
        attributes: As read; arrays, bytes and NumPy scalars become plain values.
        axes: Names of the array's axes, in its order.

    Returns:
        Resolution and offset in nm (z, y, x), None where they are not stated or their unit is no
        length; the other attributes.

    Raises:
        DataError: A voxel size or an offset that is not three usable numbers, or voxel sizes that
            contradict each other.

    >>> split_attributes("raw", {"resolution": np.array([40, 4, 4]), "sample": b"A"})
    ((40.0, 4.0, 4.0), None, {'sample': 'A'})
    >>> split_attributes("raw", {"voxel_size": [0.03, 0.008, 0.008], "units": "um"})[0]
    (30.0, 8.0, 8.0)
    """
    rest = {str(name): plain(value) for name, value in attributes.items()}
    sizes, offset = _cosem(source, rest)
    units, units_name = _units(rest, axes)
    stated = [n for n in VOXEL_SIZES if n in rest and (n in SURELY_SIZES or _is_triple(rest[n]))]
    for name in stated:
        given = units if units and not name.endswith(("_nm", "_um")) else (VOXEL_SIZES[name],) * 3
        value = three_numbers(source, name, _in_zyx(rest.pop(name), axes))
        sizes[name] = in_nm(source, value, given)
    if OFFSET in rest:
        value = three_numbers(source, OFFSET, _in_zyx(rest.pop(OFFSET), axes))
        offset = in_nm(source, value, units or ("nm",) * 3)
        stated.append(OFFSET)
    if stated:
        rest.pop(units_name, None)
    size = one_size(source, sizes)
    viewer = _n5_viewer(source, rest)
    rest = {n: v for n, v in rest.items() if n not in AXIS_ATTRIBUTES or not axis_words(v)}
    return size or viewer, offset, rest


def _cosem(
    source: str, rest: dict[str, Any]
) -> tuple[dict[str, Resolution | None], Resolution | None]:
    """Take COSEM's `transform`: axes, scale, translate and units."""
    given = rest.get(COSEM)
    if not isinstance(given, dict) or not _is_triple(given.get("scale")):
        return {}, None
    del rest[COSEM]
    axes = axis_words(given.get("axes")) or ZYX
    units = _units(given, axes)[0] or ("nm",) * 3
    offset = given.get("translate")
    scale = three_numbers(source, COSEM, _in_zyx(given["scale"], axes))
    return {COSEM: in_nm(source, scale, units)}, (
        in_nm(source, three_numbers(source, COSEM, _in_zyx(offset, axes)), units)
        if _is_triple(offset)
        else None
    )


def _n5_viewer(source: str, rest: dict[str, Any]) -> Resolution | None:
    """Take N5 Viewer's `pixelResolution`, (x, y, z), which is that of the finest level."""
    given = rest.get(N5_VIEWER)
    sizes = given.get("dimensions") if isinstance(given, dict) else given
    if sizes is None or not _is_triple(sizes):
        return None
    del rest[N5_VIEWER]
    factors = rest.pop(FACTORS) if _is_triple(rest.get(FACTORS)) else (1, 1, 1)
    unit = str(given.get("unit", "nm")) if isinstance(given, dict) else "nm"
    x, y, z = (size * factor for size, factor in zip(sizes, factors, strict=True))
    return one_size(source, {N5_VIEWER: in_nm(source, (z, y, x), (unit,) * 3)})


def _units(
    given: Mapping[str, Any], axes: Sequence[str]
) -> tuple[tuple[str | None, ...] | None, str]:
    """The units of z, y and x, None where nothing is said of them, and the attribute's name."""
    name = next((name for name in UNITS if given.get(name) is not None), "")
    if not name:
        return None, ""
    value = given[name]
    if not isinstance(value, list):
        return (str(value),) * 3, name
    words = _in_zyx([None if word is None else str(word) for word in value], axes)
    return (tuple(words) if len(words) == 3 else (str(value),) * 3), name


def _in_zyx(values: Any, axes: Sequence[str]) -> Any:
    """Put values that stand in the order of the axes, all or those of space, into (z, y, x)."""
    space = [axis for axis in axes if axis in ZYX]
    if not isinstance(values, list) or sorted(space) != sorted(ZYX):
        return values
    if len(values) == len(axes):
        return [values[list(axes).index(axis)] for axis in ZYX]
    return [values[space.index(axis)] for axis in ZYX] if len(values) == 3 else values


def _is_triple(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(isinstance(v, int | float) and not isinstance(v, bool) for v in value)
    )


def plain(value: Any) -> Any:
    """Turn what a file format gives as an attribute into a JSON-able value.

    >>> plain({"a": np.arange(2), "b": b"text", "c": (np.float32(0.5), None)})
    {'a': [0, 1], 'b': 'text', 'c': [0.5, None]}
    """
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def check_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Make sure that attributes to be written are plain values and do not shadow the header.

    Raises:
        TypeError: A value JSON has no word for.
        ValueError: A name that is kept for voxel size, offset or axes.
    """
    kept = {*VOXEL_SIZES, OFFSET, *UNITS, COSEM, N5_VIEWER, *AXIS_ATTRIBUTES}
    if reserved := kept & attributes.keys():
        raise ValueError(f"attributes {sorted(reserved)} are written from resolution and offset_nm")
    numpy_free = {
        name: value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        for name, value in attributes.items()
    }
    return json.loads(json.dumps(numpy_free))
