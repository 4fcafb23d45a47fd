"""Arrays with named axes, seen as (Z, Y, X) or (C, Z, Y, X)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomics.data.io.header import ArrayLike, size_text
from connectomics.data.io.units import is_unit
from connectomics.errors import DataError, warn

# Attributes that name the axes: xarray's, funlib's, vigra's and ilastik's, and what others use.
AXIS_ATTRIBUTES = (
    "_ARRAY_DIMENSIONS",
    "dimension_names",
    "axis_names",
    "axistags",
    "axes",
    "axis_order",
    "dimension_order",
    "dims",
)
SYNONYMS = {
    "z": ("depth", "plane", "section", "slice"),
    "y": ("height", "row"),
    "x": ("width", "column", "col"),
    "c": ("channel", "ch", "band"),
    "t": ("time", "timepoint", "frame"),
}
MEANINGS = {word: axis for axis, words in SYNONYMS.items() for word in (axis, *words)}
TYPES = {"channel": "c", "time": "t"}

# What libraries call an axis that nobody has named.
UNNAMED = re.compile(r"|\?|none|(phony_)?(dim|axis)_?\d*")

# A unit behind the name of an axis, in brackets or not, and words that mean no more than "axis".
BRACKETED = re.compile(r"\s*[(\[]\s*([^()\[\]]*?)\s*[)\]]")
UNIT_BEHIND = re.compile(r"[\s_/:,]+(?:in[\s_]+)?([^\s_/:,]{2,})$")
AXIS_WORD = re.compile(
    r"^(axis|dim|dimension)[\s_-]?(?=[a-z]+$)|(?<=[a-z])[\s_-]?(axis|dim|dimension)$"
)


@dataclass(frozen=True)
class AxisView:
    """Axes of an array put in order, and those of length one left out.

    Attributes:
        array: The array behind the view; indexed by ints and slices.
        order: For each axis of the view, the axis of the array.
        ndim: Number of axes of the array.

    >>> view = AxisView(np.arange(24).reshape(1, 4, 3, 2), order=(3, 2, 1), ndim=4)
    >>> view[0:1, 0:3, 2:4].tolist()
    [[[12, 18], [14, 20], [16, 22]]]
    """

    array: ArrayLike
    order: tuple[int, ...]
    ndim: int

    def __getitem__(self, index: tuple[slice, ...]) -> NDArray[np.generic]:
        full = [slice(0, 1)] * self.ndim
        for axis, part in zip(self.order, index, strict=True):
            full[axis] = part
        values = np.asarray(self.array[tuple(full)])
        left_out = [axis for axis in range(self.ndim) if axis not in self.order]
        return np.transpose(values, (*self.order, *left_out)).reshape(
            [values.shape[axis] for axis in self.order]
        )


def ordered(array: ArrayLike, order: Sequence[int], ndim: int) -> ArrayLike:
    """An array with its axes in another order; itself where nothing changes."""
    order = tuple(order)
    return array if order == tuple(range(ndim)) else AxisView(array, order, ndim)


def axis_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Those attributes that may name axes."""
    return {name: attributes[name] for name in AXIS_ATTRIBUTES if name in attributes}


def axis_words(value: Any) -> tuple[str, ...] | None:
    """The names of axes in the value of an attribute, as z, y, x, c, t where they are known.

    Args:
        value: A list of names, or of mappings with "name" or vigra's "key"; a text such as "zyx"
            or "z, y, x"; vigra's axis tags as JSON.

    Returns:
        Lower-case names, empty where an axis has none; None where the value names no axes.

    >>> axis_words(["X", "Y", "Z"]), axis_words("zyx"), axis_words(["c^", "depth", "row", "col"])
    (('x', 'y', 'z'), ('z', 'y', 'x'), ('c', 'z', 'y', 'x'))
    >>> axis_words('{"axes": [{"key": "y"}, {"key": "x"}]}'), axis_words(["dim_0", None])
    (('y', 'x'), ('', ''))
    >>> axis_words(["Z [um]", "y (nm)", "x_nm"]), axis_words("x (nm), y (nm), z (nm)")
    (('z', 'y', 'x'), ('x', 'y', 'z'))
    >>> axis_words([1.5, 2]), axis_words("some text")
    (None, None)
    """
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    if isinstance(value, Mapping):
        value = value.get("axes")
    if isinstance(value, str):
        value = _split_text(value)
    if not isinstance(value, list | tuple) or not value:
        return None
    names = [_word(item) for item in value]
    return None if None in names else tuple(str(name) for name in names)


def _split_text(text: str) -> list[str] | None:
    """The axes in "zyx", "z, y, x", "z (nm), y (nm), x (nm)" or "[z y x]"."""
    text = _without_units(text)
    words = re.findall(r"[^\s,;\[\]()'\"]+", text)
    if len(words) == 1 and set(words[0].lower()) <= set("tczyx") and len(words[0]) > 1:
        return list(words[0])
    return words if len(words) > 1 and all(w.lower() in MEANINGS for w in words) else None


def _word(item: Any) -> str | None:
    if isinstance(item, Mapping):
        kind = TYPES.get(str(item.get("type", "")).lower())
        return kind or _word(item.get("name", item.get("key", "")))
    if item is not None and not isinstance(item, str):
        return None
    word = (item or "").strip().lower()
    if word.endswith("^"):  # funlib's mark of axes that are none of space
        return "t" if word[0] == "t" else "c"
    if UNNAMED.fullmatch(word):
        return ""
    unit = UNIT_BEHIND.search(word := _without_units(word))
    bare = word[: unit.start()] if unit and is_unit(unit[1]) else word
    bare = AXIS_WORD.sub("", bare)
    return MEANINGS.get(bare) or MEANINGS.get(bare.removesuffix("s")) or word


def _without_units(text: str) -> str:
    """Leave out what stands in brackets, where it is a unit."""
    return BRACKETED.sub(lambda found: "" if is_unit(found[1]) else found[0], text).strip()


def stated_axes(source: str, stated: Mapping[str, Any], shape: Sequence[int]) -> tuple[str, ...]:
    """What a file says its axes are, or else what they usually are.

    Args:
        source: For messages.
        stated: Values that may name axes, by what they are called in the file.
        shape: Length of each axis.

    Returns:
        One name for each axis; none where nobody says, and there are too few or too many.

    Raises:
        DataError: It says two things that contradict each other, or names some axes only.

    >>> stated_axes("em.zarr", {"axes": "xyz", "dimension_names": None}, (8, 8, 5))
    ('x', 'y', 'z')
    >>> stated_axes("em.zarr", {}, (1, 5, 8, 8)), stated_axes("em.zarr", {}, (5, 8, 8, 1))
    (('c', 'z', 'y', 'x'), ('z', 'y', 'x', 'c'))
    """
    found = {by: words for by, value in stated.items() if any(words := axis_words(value) or ())}
    meant = {by: words for by, words in found.items() if set(words) & {*"zyx"}}
    names: tuple[str, ...] = ()
    for by, words in meant.items():
        if names and not _agree(names, words):
            first = next(iter(meant))
            raise DataError(
                source,
                f"its {first!r} says that its axes are {_text(meant[first])}, its {by!r} that they "
                f"are {_text(words)}.",
                "Correct or remove the one that is wrong.",
            )
        names = tuple(a if a in SYNONYMS else b for a, b in zip(names or words, words, strict=True))
    if names:
        return names
    usual = usual_axes(shape)
    called = {by: _text(words) for by, words in found.items()}
    called |= {
        by: repr(value)
        for by, value in stated.items()
        if isinstance(value, str) and value.strip() and axis_words(value) is None
    }
    for by, text in called.items():
        problem = f"its axes are called {text} ({by!r}), which says nothing here; they are"
        remedy = "If they are others, name them z, y and x in the file."
        warn(source, f"{problem} taken for {_text(usual) or 'what they usually are'}.", remedy)
    return usual


def _agree(names: Sequence[str], others: Sequence[str]) -> bool:
    known = [{a, b} & SYNONYMS.keys() for a, b in zip(names, others, strict=False)]
    return len(names) == len(others) and all(len(pair) < 2 for pair in known)


def usual_axes(shape: Sequence[int]) -> tuple[str, ...]:
    """The names of axes that nobody has named; none where there are too few or too many.

    A last axis of length one is one of channels: no volume is one voxel wide.
    """
    space = "zyxc" if len(shape) > 3 and shape[-1] == 1 else "czyx"
    match len(shape):
        case 3:
            return ("z", "y", "x")
        case 4:
            return tuple(space)
        case 5 if shape[0] == 1:
            return ("t", *space)
    return ()


def _text(names: Sequence[str]) -> str:
    return ", ".join(name or "(none)" for name in names)


def volume_axes(source: str, names: Sequence[str], shape: Sequence[int]) -> tuple[int, ...]:
    """Choose the axes that make a volume.

    Args:
        source: For messages.
        names: Name of each axis; z, y, x, c and t have a meaning, others must be of length one.
            None at all leaves the axes as they are.
        shape: Length of each axis.

    Returns:
        Positions of z, y, x, or of c, z, y, x where there are several channels.

    Raises:
        DataError: z, y or x is missing, or a time series has several points.

    >>> volume_axes("em.zarr", "tczyx", (1, 1, 30, 256, 256))
    (2, 3, 4)
    >>> volume_axes("em.zarr", "czyx", (3, 30, 256, 256))
    (0, 1, 2, 3)
    """
    if not names:
        return tuple(range(len(shape)))
    if len(names) != len(shape):
        raise DataError(
            source,
            f"its metadata describes {len(names)} axes, its shape is {size_text(shape)}.",
            "Name the array itself, such as STORE.zarr::0, or write the metadata again.",
        )
    described = ", ".join(
        f"{name or '(none)'}={size}" for name, size in zip(names, shape, strict=True)
    )
    if any(list(names).count(axis) != 1 for axis in "zyx"):
        raise DataError(
            source,
            f"its axes are {described}; z, y and x are needed, each once.",
            "Store a volume, with its axes named z, y and x.",
        )
    for name, size in zip(names, shape, strict=True):
        if name not in ("c", "z", "y", "x") and size > 1:
            raise DataError(
                source,
                f"has {size} positions along axis {name!r} ({described}).",
                "Store one.",
            )
    channels = [axis for axis, name in enumerate(names) if name == "c" and shape[axis] > 1]
    if len(channels) > 1:
        raise DataError(source, f"has several axes of channels ({described}).", "Store one.")
    spatial = tuple(names.index(name) for name in "zyx")
    return (*channels, *spatial)
