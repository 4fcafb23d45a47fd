"""`key=value` from the command line, in Hydra's grammar, put into nested dicts and lists."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from connectomics.config.dotted import DottedPath, format_path, parse_path
from connectomics.config.levels import DEFAULT, STAGES
from connectomics.config.merging import Tree, merge
from connectomics.config.schema import Config
from connectomics.config.slips import (
    beyond_an_override,
    grammar_remedy,
    no_override,
    place_of,
    split_by_shell,
    sweep_remedy,
)
from connectomics.errors import ConfigError, Fault

SECTIONS = [name for name, field in Config.model_fields.items() if field.annotation is not str]
GRAMMAR = "https://hydra.cc/docs/advanced/override_grammar/basic"

PLAIN_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
NO_WORDS = ("true", "false", "null", "nan", "inf")

MACHINE = "machine"
"""The presets that go through all sections."""


@dataclass(frozen=True)
class Assignment:
    """One change to the config.

    Attributes:
        text: As it stood on the command line.
        level: `default`, `train` or `test` where the key began with it; empty for a change that
            is made after the stages are merged.
        path: The key below that level.
        value: The new value; None too where `delete` is set.
        delete: The key is taken out (`~key`).
        append: One past the end of a list is meant too (`+list[n]=...`).
    """

    text: str
    level: str
    path: DottedPath
    value: Any
    delete: bool = False
    append: bool = False


@dataclass(frozen=True)
class ParsedOverrides:
    """What the command line asks for: presets by group, and changes of values."""

    choices: tuple[str, ...]
    assignments: tuple[Assignment, ...]


def parse_overrides(texts: Sequence[str]) -> ParsedOverrides:
    """Read overrides: those that pick a preset, and those that change a value.

    A preset is picked by a key with a slash, or by a section, or `machine`, and a name:
    `decoding=tuned`.

    Raises:
        ConfigError: Every one that is not in Hydra's grammar, or asks for several runs.

    >>> parse_overrides(["model/rsunet=small", "decoding.steps[0].kwargs.thres=0.4"]).choices
    ('model/rsunet=small',)
    """
    parser, choices, assignments = OverridesParser.create(), [], []
    faults, whole = split_by_shell(texts)
    for text in whole:
        if beyond := beyond_an_override(text):
            faults.append(beyond)
            continue
        try:
            override = parser.parse_override(_without_brackets(text))
            _require_one_run(text, override)
            if _picks_preset(override):
                choices.append(text)
            else:
                assignments.append(_assignment(text, override))
        except (HydraException, RecursionError, ValueError) as error:
            faults.append(_grammar_fault(text, error))
        except ConfigError as error:
            faults += error.faults
    if faults:
        raise ConfigError.of(faults)
    return ParsedOverrides(tuple(choices), tuple(assignments))


def override_texts(settings: Mapping[str, Any]) -> list[str]:
    r"""Write settings as the command line would say them.

    >>> override_texts({"model/rsunet": "small", "data.val": None, "a.b": (8, 64.0), "c": "it's"})
    ['model/rsunet=small', 'data.val=null', 'a.b=[8,64.0]', "c='it\\'s'"]
    """
    return [f"{key}={_spelt(value)}" for key, value in settings.items()]


def _spelt(value: Any) -> str:
    if hasattr(value, "tolist"):  # NumPy's
        value = value.tolist()
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{_spelt(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_spelt, value))}]"
    text = str(value)
    if PLAIN_WORD.fullmatch(text) and text.lower() not in NO_WORDS:
        return text
    quoted = re.sub(r"(\\*)(')", r"\1\1\\'", text)
    trailing = len(quoted) - len(quoted.rstrip("\\"))
    return f"'{quoted}{trailing * chr(92)}'"


def apply_override(tree: Tree, assignment: Assignment) -> Tree:
    """Make one change.

    A dict given for a dict is merged into it; anything else, and an item of a list, replaces
    what was there. Keys on the way that are missing are made; list items are not.

    Returns:
        A changed copy.

    Raises:
        ConfigError: The path leads through something that has no such key or item.

    >>> change = Assignment("a[0].x=2", "", ("a", 0, "x"), 2)
    >>> apply_override({"a": [{"x": 1, "y": 3}]}, change)
    {'a': [{'x': 2, 'y': 3}]}
    """
    return _changed(tree, assignment, 0)


def _changed(node: Any, assignment: Assignment, depth: int) -> Any:
    """A copy of the dict or list that stands at `path[:depth]`, changed below."""
    path = assignment.path
    _require(node, assignment, depth)
    changed, key = copy.copy(node), path[depth]
    if depth == len(path) - 1:
        _set(changed, key, assignment)
        return changed
    inner = node.get(key) if isinstance(node, dict) else node[key]
    if inner is None and isinstance(path[depth + 1], str):
        inner = {}
    changed[key] = _changed(inner, assignment, depth + 1)
    return changed


def _set(node: Any, key: str | int, assignment: Assignment) -> None:
    value = copy.deepcopy(assignment.value)
    if assignment.delete:
        _delete(node, key, assignment)
    elif isinstance(node, list):
        index = int(key)
        node[index : index + 1] = [value]
    elif isinstance(value, dict) and isinstance(node.get(key), dict):
        node[key] = merge(node[key], value, at=assignment.path)
    else:
        node[key] = value


def _picks_preset(override: Override) -> bool:
    key = override.key_or_group
    if "/" in key or key == MACHINE:
        return True
    return key in SECTIONS and isinstance(override.value(), str)


def _require_one_run(text: str, override: Override) -> None:
    if override.is_sweep_override():
        remedy = sweep_remedy(override.key_or_group, text.partition("=")[2])
        raise ConfigError(place_of(text), "asks for several runs.", remedy)


def _assignment(text: str, override: Override) -> Assignment:
    where = place_of(text)
    path = parse_path(override.key_or_group)
    level = str(path[0]) if path[0] in (DEFAULT, *STAGES) else ""
    path = path[1:] if level else path
    if not path or "" in path:
        raise ConfigError(where, "names no key.", "Write section.key=value.")
    return Assignment(text, level, path, override.value(), override.is_delete(), override.is_add())


def _without_brackets(text: str) -> str:
    # Hydra's keys know `steps.0` only; `steps[0]` is how messages and OmegaConf write it.
    key, equals, value = text.partition("=")
    return re.sub(r"\[(\d+)\]", r".\1", key) + equals + value


LONGEST_REASON = 120
"""Letters of what Hydra says, which may repeat all of an override."""


def _grammar_fault(text: str, error: Exception) -> Fault:
    where = place_of(text)
    if "=" not in text:
        return no_override(text)
    key, _, value = text.partition("=")
    remedy = grammar_remedy(key, value)
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    reason = said.partition(" expecting {")[0]
    if len(reason) > LONGEST_REASON:
        reason = f"{reason[:LONGEST_REASON]}..."
    return Fault(where, f"is not in Hydra's grammar ({reason}).", remedy or f"See {GRAMMAR}.")


def _require(node: Any, assignment: Assignment, depth: int) -> None:
    """Refuse a key that the node at `path[:depth]` cannot have."""
    key, at = assignment.path[depth], format_path(assignment.path[:depth]) or "the config"
    where = place_of(assignment.text)
    if isinstance(key, str):
        if not isinstance(node, dict):
            remedy = "Write the item out with its kwargs." if isinstance(node, str) else ""
            raise ConfigError(where, f"{at} is {node!r} and has no {key!r}.", remedy)
        return
    if not isinstance(node, list):
        problem = f"{at} is no list that the config writes out."
        raise ConfigError(where, problem, f"Give all of it: '{at}=[...]'.")
    appends = assignment.append and depth == len(assignment.path) - 1
    if key >= len(node) + appends:
        problem = f"{at} has {len(node)} items, so there is no [{key}]."
        raise ConfigError(where, problem, f"Items count from 0; +{at}[{len(node)}]=... appends.")


def _delete(node: Any, key: str | int, assignment: Assignment) -> None:
    where = place_of(assignment.text)
    if isinstance(node, dict) and key not in node:
        problem = "there is no such key to take out."
        raise ConfigError(where, problem, "The config does not write it; its default holds.")
    if assignment.value is not None and node[key] != assignment.value:
        raise ConfigError(where, f"the value is {node[key]!r}, so it stays.")
    del node[key]
