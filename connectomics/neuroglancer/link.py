"""Addresses that open Neuroglancer at a place, with layers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

from connectomics.errors import Fault

VIEWER = "https://neuroglancer-demo.appspot.com/"
"""The public page of the viewer. It shows data from wherever the link says, this machine too."""

MARK = "#!"
GAP = "__POSITION__"
NANOMETRES = {axis: [1e-9, "m"] for axis in "xyz"}


def link(viewer: str, state: Mapping[str, Any]) -> str:
    """The address of a viewer in a state.

    >>> link("https://h.org/", {"position": [1.5]})
    'https://h.org/#!%7B%22position%22:%5B1.5%5D%7D'
    """
    text = json.dumps(state, separators=(",", ":"))
    return f"{viewer.partition(MARK)[0]}{MARK}{quote(text, safe=':,/')}"


def state_of(address: str) -> dict[str, Any]:
    """The state in the address of a viewer; empty where it opens with none.

    Raises:
        ValueError: What stands there is no state.

    >>> state_of("https://h.org/#!%7B%22position%22:%5B1.5%5D%7D"), state_of("https://h.org/")
    ({'position': [1.5]}, {})
    """
    text = unquote(address.partition(MARK)[2])
    if not text:
        return {}
    state = json.loads(text)
    if not isinstance(state, dict):
        raise ValueError("it is no mapping")
    return state


def position_at(address: str, nm: Sequence[float]) -> list[float]:
    """Where a place lies for a viewer that counts in the voxels of its link.

    Args:
        address: Of a viewer, as it stands in a browser: with layers, and lengths of its axes.
        nm: The place (z, y, x).

    Raises:
        ValueError: As `state_of`, or an axis is no length.

    >>> view = link("https://h.org/", {"dimensions": {a: [8e-9, "m"] for a in "xyz"}})
    >>> position_at(view, (30, 80, 8))
    [1.5, 10.5, 4.25]
    """
    state = state_of(address)
    dimensions = state.get("dimensions", NANOMETRES)
    place = dict(zip("zyx", nm, strict=True))
    before = state.get("position", [0.5] * len(dimensions))
    position = []
    for (axis, (size, unit)), other in zip(dimensions.items(), before, strict=True):
        if axis in place and (unit != "m" or not size > 0):
            raise ValueError(f"its axis {axis!r} is measured in {size} {unit!r}, not in metres")
        # Nine digits undo the rounding of metres; the middle of a voxel is half of one on.
        there = round(place[axis] * 1e-9 / size, 9) + 0.5 if axis in place else other
        position.append(there)
    return position


def link_with_gap(address: str) -> str:
    """The same view, with `GAP` for the numbers of its position, so that a page can fill it in."""
    state = state_of(address)
    return link(address, {"dimensions": NANOMETRES, **state, "position": [GAP]}).replace(
        f"%22{GAP}%22", GAP
    )


def check_viewer(address: str, where: str) -> list[Fault]:
    """Find what is wrong with the address of a viewer in a config.

    Args:
        address: Of a viewer, with the view it shows; empty for none.
        where: Its place in the config.
    """
    if not address:
        return []
    if not address.startswith(("https://", "http://")):
        return [Fault(where, f"{address!r} is no address of a viewer.", f"Such as {VIEWER}.")]
    try:
        position_at(address, (0.0, 0.0, 0.0))
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        problem = f"what stands behind {MARK} is no view of Neuroglancer ({error})."
        return [Fault(where, problem, "Copy the address from a browser that shows your layers.")]
    return []
