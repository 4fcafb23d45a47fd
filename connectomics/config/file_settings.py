"""Settings of a mode that works on files and needs no config: `key=value` alone, checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from pydantic import BaseModel

from connectomics.config.dotted import format_path, overlaps, parse_path
from connectomics.config.merging import Tree
from connectomics.config.overrides import Assignment, apply_override, parse_overrides
from connectomics.config.validation import validate_as
from connectomics.errors import ConfigError, Fault

S = TypeVar("S", bound=BaseModel)


def read_settings(
    schema: type[S],
    overrides: Sequence[str],
    *,
    checks: Iterable[Callable[[S], Iterable[Fault]]] = (),
) -> S:
    """Read settings from the command line, in the grammar of overrides.

    Args:
        schema: The keys there are; each has a default.
        overrides: `key=value` texts.
        checks: Find what the schema cannot know. They see what could be saved of the settings,
            and what they say about a key that could not be is left out.

    Raises:
        ConfigError: Every fault there is.

    >>> from connectomics.config.schema.files import DecodeFiles
    >>> read_settings(DecodeFiles, ["labels=a.h5", "resolution=[30,8,8]"]).resolution
    (30.0, 8.0, 8.0)
    """
    parsed = parse_overrides(overrides)
    faults = [_preset_fault(choice) for choice in parsed.choices]
    tree: Tree = {}
    for assignment in map(_without_level, parsed.assignments):
        try:
            tree = apply_override(tree, assignment)
        except ConfigError as error:
            faults += error.faults
    read = validate_as(schema, tree)
    found = [*read.faults, *(fault for check in checks for fault in check(read.config))]
    for fault in found:
        path = parse_path(fault.where)
        if fault in read.faults or not any(overlaps(path, lost) for lost in read.lost):
            faults.append(replace(fault, where=_place(format_path(read.as_written(path)))))
    if faults:
        raise ConfigError.of(dict.fromkeys(faults))
    return read.config


def _without_level(assignment: Assignment) -> Assignment:
    """There are no stages here, so that `train` or `test` is a key like any other."""
    if not assignment.level:
        return assignment
    return replace(assignment, level="", path=(assignment.level, *assignment.path))


def _place(where: str) -> str:
    return f"command line: {where}"


def _preset_fault(choice: str) -> Fault:
    return Fault(_place(choice), "presets are parts of a config.", "Name one: --config FILE.")
