"""`${section.key}`: one value of the config standing for another, and nothing more."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import InterpolationKeyError, MissingMandatoryValue, OmegaConfBaseException

from connectomics.config.dotted import ABSENT, DottedPath, format_path, leaves
from connectomics.config.merging import Tree
from connectomics.errors import Fault

KEY = re.compile(r"\$\{[^${}:]*\}")
MANDATORY = "???"


def resolve(tree: Tree) -> tuple[Tree, list[Fault]]:
    """Replace interpolations by the values they name.

    Functions (`${oc.env:HOME}`) are refused: a config says the same wherever it is read.

    Args:
        tree: Sections of a config, with the stage merged in.

    Returns:
        The tree without interpolations, and a fault for each one that leads nowhere; those
        are left out of the tree. So is `???`, which marks a value that the user has to give.

    >>> resolve({"a": {"x": 3}, "b": "${a.x}"})
    ({'a': {'x': 3}, 'b': 3}, [])
    """
    texts = {path: value for path, value in leaves(tree) if _is_open(value)}
    if not texts:
        return tree, []
    refused = {path: fault for path, text in texts.items() if (fault := _refusal(path, text))}
    # They are taken out first, so that nothing that refers to one can call it.
    config = OmegaConf.create(without(tree, refused))
    values: dict[DottedPath, Any] = {}
    faults = list(refused.values())
    for path in [path for path in texts if path not in refused]:
        try:
            values[path] = _select(config, path)
        except (OmegaConfBaseException, RecursionError) as error:
            faults.append(_fault(path, texts[path], error))
    return _replaced(tree, {path: values.get(path, ABSENT) for path in texts}, ()), faults


def without(tree: Tree, paths: Collection[DottedPath]) -> Tree:
    """A copy without the values at some paths; an item of a list becomes None.

    >>> without({"a": 1, "b": [2, 3]}, [("a",), ("b", 0)])
    {'b': [None, 3]}
    """
    return _replaced(tree, dict.fromkeys(paths, ABSENT), ())


def _is_open(value: Any) -> bool:
    return isinstance(value, str) and ("${" in value or value == MANDATORY)


def _select(config: Any, path: DottedPath) -> Any:
    for key in path:
        config = config[key]
    return OmegaConf.to_container(config, resolve=True) if OmegaConf.is_config(config) else config


def _replaced(tree: Any, values: dict[DottedPath, Any], path: DottedPath) -> Any:
    """A copy with other values at some paths; a key whose value is to be `ABSENT` is left out."""
    if path in values:
        return values[path]
    if isinstance(tree, dict):
        new = {key: _replaced(value, values, (*path, key)) for key, value in tree.items()}
        return {key: value for key, value in new.items() if value is not ABSENT}
    if isinstance(tree, list):
        items = [_replaced(item, values, (*path, index)) for index, item in enumerate(tree)]
        return [None if item is ABSENT else item for item in items]
    return tree


def _refusal(path: DottedPath, text: str) -> Fault | None:
    """What is wrong with a text that does more than to name keys, innermost ones first."""
    rest, before = text, ""
    while rest != before:
        rest, before = KEY.sub("", rest), rest
    if "${" not in rest:
        return None
    verb = "calls a function, which a config cannot do" if ":" in rest else "is never closed"
    remedy = "Write the value, or name a key: ${section.key}."
    return Fault(format_path(path), f"{text!r} {verb}.", remedy)


def _fault(path: DottedPath, text: str, error: Exception) -> Fault:
    if isinstance(error, MissingMandatoryValue) or text == MANDATORY:
        return Fault(format_path(path), "has no value yet.", "Give it here or as key=value.")
    if isinstance(error, InterpolationKeyError):
        remedy = "Keys are named from the top: ${data.dataloader.patch_size}."
        if re.search(r"\$\{[A-Z_]+\}", text):
            remedy = "Variables are not replaced in a config; on the command line, $NAME is."
        return Fault(format_path(path), f"{text!r} names a key that is not written.", remedy)
    return Fault(format_path(path), f"{text!r} leads nowhere.", "Does it lead back to itself?")
