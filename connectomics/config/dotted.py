"""Places in a config: `decoding.steps[0].kwargs.thres` as text and as a tuple of keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

DottedPath = tuple[str | int, ...]
ABSENT = object()


def parse_path(text: str) -> DottedPath:
    """Split a dotted path. Numbers are list items, whether written `[0]` or `.0`.

    >>> parse_path("decoding.steps[0].kwargs"), parse_path("decoding.steps.0")
    (('decoding', 'steps', 0, 'kwargs'), ('decoding', 'steps', 0))
    """
    keys = re.sub(r"\[(\d+)\]", r".\1", text).split(".")
    return tuple(int(key) if key.isdecimal() else key for key in keys)


def format_path(path: DottedPath) -> str:
    """Write a path the way messages show it.

    >>> format_path(("decoding", "steps", 0, "kwargs"))
    'decoding.steps[0].kwargs'
    """
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".")


def look_up(tree: Any, path: DottedPath) -> Any:
    """Find what stands at a path of nested dicts and lists, or `ABSENT`.

    >>> look_up({"steps": [{"name": "a"}]}, ("steps", 0, "name"))
    'a'
    >>> look_up({"steps": []}, ("steps", 0)) is ABSENT
    True
    """
    for key in path:
        if isinstance(tree, dict):
            tree = tree.get(key, ABSENT)
        elif isinstance(tree, list | tuple) and isinstance(key, int) and key < len(tree):
            tree = tree[key]
        else:
            return ABSENT
    return tree


def overlaps(one: DottedPath, other: DottedPath) -> bool:
    """Whether one of two paths lies at or below the other.

    >>> overlaps(("model",), ("model", "loss")), overlaps(("model",), ("data",))
    (True, False)
    """
    return all(a == b for a, b in zip(one, other, strict=False))


def leaves(tree: Any, path: DottedPath = ()) -> Iterator[tuple[DottedPath, Any]]:
    """Walk all values that are neither dict nor list, with their paths.

    >>> list(leaves({"a": [1, {"b": 2}]}))
    [(('a', 0), 1), (('a', 1, 'b'), 2)]
    """
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves(value, (*path, key))
    elif isinstance(tree, (list, tuple)):
        for index, value in enumerate(tree):
            yield from leaves(value, (*path, index))
    else:
        yield path, tree
