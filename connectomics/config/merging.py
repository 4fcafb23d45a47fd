"""Nested dicts laid over one another, and taken apart again so that merging gives them back."""

from __future__ import annotations

import copy
from typing import Any

from connectomics.config.dotted import DottedPath

Tree = dict[str, Any]

FILES = ("image", "phantom", "label", "mask", "neurons", "annotations")
SPLITS = (("data", "train"), ("data", "val"), ("data", "test"))


def merge(base: Tree, over: Tree, *, at: DottedPath = ()) -> Tree:
    """Lay `over` on `base`: dicts merge key by key, everything else is replaced, lists too.

    A split that names a file is replaced too. The labels, the resolution and the sections of
    other volumes, inherited from a tutorial, say nothing about these.

    Args:
        base: Lies below.
        over: Lies above. Neither is changed.
        at: Where both stand in the config.

    >>> merge({"a": {"x": 1, "y": 2}, "b": [1, 2]}, {"a": {"y": 3}, "b": [4]})
    {'a': {'x': 1, 'y': 3}, 'b': [4]}
    >>> theirs = {"data": {"test": {"image": "theirs.h5", "z_range": [76, 100]}}}
    >>> merge(theirs, {"data": {"test": {"image": "mine.h5"}}})
    {'data': {'test': {'image': 'mine.h5'}}}
    """
    if replaces_split(over, at):
        return copy.deepcopy(over)
    result = copy.deepcopy(base)
    for key, value in over.items():
        below = result.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            result[key] = merge(below, value, at=(*at, key))
        else:
            result[key] = copy.deepcopy(value)
    return result


def replaces_split(over: Any, at: DottedPath) -> bool:
    """Whether what is laid over a place there is a split that names files of its own."""
    return at in SPLITS and isinstance(over, dict) and not over.keys().isdisjoint(FILES)


def common(one: Tree, other: Tree, *, at: DottedPath = ()) -> Tree:
    """What two trees share. Splits are shared as a whole or not at all, for `merge`.

    >>> common({"a": {"x": 1, "y": 2}, "b": 1}, {"a": {"x": 1, "y": 3}, "c": 1})
    {'a': {'x': 1}}
    """
    result = {}
    for key in one.keys() & other.keys():
        mine, theirs = one[key], other[key]
        whole = (*at, key) in SPLITS
        if isinstance(mine, dict) and isinstance(theirs, dict) and not whole:
            result[key] = common(mine, theirs, at=(*at, key))
        elif _same(mine, theirs):
            result[key] = copy.deepcopy(mine)
    return {key: result[key] for key in one if key in result}


def difference(tree: Tree, base: Tree) -> Tree:
    """What has to be laid over `base`, a part of `tree`, to get `tree`.

    >>> difference({"a": {"x": 1, "y": 2}, "b": 1}, {"a": {"x": 1}})
    {'a': {'y': 2}, 'b': 1}
    """
    result = {}
    for key, value in tree.items():
        if key not in base:
            result[key] = copy.deepcopy(value)
        elif isinstance(value, dict):
            rest = difference(value, base[key])
            if rest:
                result[key] = rest
    return result


def _same(one: Any, other: Any) -> bool:
    # 1, 1.0 and True are equal in Python and different in a config.
    return repr(one) == repr(other)
