"""Addresses that open Neuroglancer at a place, with layers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

VIEWER = "https://neuroglancer-demo.appspot.com/"
"""The public page of the viewer. It shows data from wherever the link says, this machine too."""

MARK = "#!"


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


def link_at(address: str, nm: Sequence[float]) -> str:
    """The same view at another place.

    Args:
        address: Of a viewer, as it stands in a browser: with layers, and lengths of its axes.
        nm: Where to (z, y, x).

    Raises:
        ValueError: As `state_of`, or an axis is no length.

    >>> view = link("https://h.org/", {"dimensions": {a: [8e-9, "m"] for a in "xyz"}})
    >>> state_of(link_at(view, (30, 80, 8)))["position"]
    [1.5, 10.5, 4.25]
    """
    state = state_of(address)
    dimensions = state.setdefault("dimensions", {axis: [1e-9, "m"] for axis in "xyz"})
    place = dict(zip("zyx", nm, strict=True))
    old = state.get("position", [0.5] * len(dimensions))
    position = []
    for (axis, (size, unit)), before in zip(dimensions.items(), old, strict=True):
        if axis in place and unit != "m":
            raise ValueError(f"its axis {axis!r} is measured in {unit!r}, not in metres")
        # Nine digits undo the rounding of metres; the middle of a voxel is half of one on.
        there = round(place[axis] * 1e-9 / size, 9) + 0.5 if axis in place else before
        position.append(there)
    return link(address, {**state, "position": position})
