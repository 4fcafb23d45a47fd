"""A nested dict against the schema: every fault in plain words, and what can be saved.

Where the schema finds faults, what is wrong is taken out (or, where it is clear which key was
meant, put right) and the rest is read as a config all the same, so that the faults of other
sections are reported in the same message.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from connectomics.config.dotted import ABSENT, DottedPath, format_path, look_up
from connectomics.config.merging import Tree
from connectomics.config.schema_keys import Schema
from connectomics.config.wording import fault_of, meant_key
from connectomics.errors import Fault

S = TypeVar("S", bound=BaseModel)


@dataclass
class Validated(Generic[S]):
    """A config, and what was wrong with what it was read from.

    Attributes:
        config: The config; with faults, what could be saved.
        faults: What was wrong, each at its path.
        lost: The paths whose values did not make it into the config.
        meant: What misspelt keys were taken for: from the path meant to the path written.
    """

    config: S
    faults: list[Fault] = field(default_factory=list)
    lost: list[DottedPath] = field(default_factory=list)
    meant: dict[DottedPath, DottedPath] = field(default_factory=dict)

    def as_written(self, path: DottedPath) -> DottedPath:
        """The path under which a user wrote what stands at a path of the config."""
        for meant, written in reversed(self.meant.items()):
            if path[: len(meant)] == meant:
                path = written + path[len(meant) :]
        return path


def validate_as(schema: type[S], tree: Tree) -> Validated[S]:
    """Read settings from nested dicts.

    Args:
        schema: Of a config, or any whose keys all have defaults.
        tree: The sections, with the stage merged in. Not changed.

    >>> from connectomics.config.schema import Config
    >>> found = validate_as(Config, {"data": {"dataloader": {"patch_sise": [8, 64, 64]}}})
    >>> print(found.faults[0])
    data.dataloader.patch_sise: no such key.
      Did you mean 'patch_size'?
    >>> found.config.data.dataloader.patch_size
    (8, 64, 64)
    """
    tree = copy.deepcopy(tree)
    result = Validated(schema())
    while True:  # every round takes out what was wrong, or gives a key its right name
        try:
            result.config = schema.model_validate(tree)
        except ValidationError as error:
            _note(result, tree, error)
            tree = _repaired(result, tree, error)
        else:
            return result


def _note(result: Validated[S], tree: Tree, error: ValidationError) -> None:
    """Keep what is news: all of the first round, later what stood below a misspelt key."""
    first = not result.faults
    for path, fault in _faults(tree, error, type(result.config)):
        written = result.as_written(path)
        if first or written != path:
            result.faults.append(Fault(format_path(written), fault.problem, fault.remedy))


def _faults(
    tree: Tree, error: ValidationError, schema: Schema
) -> Iterator[tuple[DottedPath, Fault]]:
    for path, details in _by_path(tree, error, schema).items():
        yield path, fault_of(path, details, look_up(tree, path), schema)


def _by_path(
    tree: Tree, error: ValidationError, schema: Schema
) -> dict[DottedPath, list[ErrorDetails]]:
    """Pydantic's findings; a value that fits no member of a union has one for each member."""
    by_path: dict[DottedPath, list[ErrorDetails]] = {}
    for detail in error.errors():
        by_path.setdefault(_path(detail["loc"], tree), []).append(detail)
    consequences = {path for path in by_path if _is_consequence(path, by_path, schema)}
    return {path: found for path, found in by_path.items() if path not in consequences}


def _is_consequence(
    path: DottedPath, found: dict[DottedPath, list[ErrorDetails]], schema: Schema
) -> bool:
    """Whether a list is too short for its faulty items, or a key is missing that is misspelt."""
    kinds = {detail["type"] for detail in found[path]}
    below = [other for other in found if other != path and other[: len(path)] == path]
    if kinds == {"missing"}:
        return any(
            meant_key(other, found[other][0], schema) for other in below if other[:-1] == path
        )
    return kinds == {"too_short"} and bool(below)


def _path(location: tuple[int | str, ...], tree: Any) -> DottedPath:
    """The part of pydantic's location that is in the tree: no union members, no missing keys."""
    path: DottedPath = ()
    for key in location:
        if look_up(tree, (*path, key)) is ABSENT:
            break
        path = (*path, key)
    return path


def _repaired(result: Validated[S], tree: Tree, error: ValidationError) -> Tree:
    """A tree without what was wrong, or with what was meant in its place."""
    schema = type(result.config)
    for path, (first, *_) in _by_path(tree, error, schema).items():
        meant = meant_key(path, first, schema)
        parent = look_up(tree, path[:-1])
        if parent is ABSENT:
            continue  # it went with something above it
        if meant and not isinstance(parent.get(meant), dict):
            parent[meant] = parent.pop(path[-1])
            result.meant[*path[:-1], meant] = path
            continue
        while isinstance(path[-1], int):  # an item cannot go alone: the others would move up
            path = path[:-1]
        look_up(tree, path[:-1]).pop(path[-1], None)
        result.lost.append(path)
    return tree
