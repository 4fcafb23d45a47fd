"""The levels of a config file: sections at the top or under `default:`, and its two stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from connectomics.config.merging import Tree, merge
from connectomics.config.schema import Config, SplitSection
from connectomics.errors import Fault, did_you_mean

MODES = ("train", "infer", "decode", "evaluate", "test", "tune")
STAGES = ("train", "test")
DEFAULT = "default"
VOLUME_KEYS = frozenset(SplitSection.model_fields)
TOP = ""


def stage_of(mode: str) -> str:
    """The stage section that refines a mode: `train` its own, `test` all others."""
    return "train" if mode == "train" else "test"


@dataclass(frozen=True)
class Layer:
    """One file of a config.

    Attributes:
        file: How messages name it.
        levels: What it says at the top level (`""`), under `default`, `train` and `test`.
    """

    file: str
    levels: dict[str, Tree]


def split_levels(content: Tree, package: str, file: str) -> tuple[Layer, list[Fault]]:
    r"""Sort what a file says by level, and find the top-level keys that are none.

    A misspelt stage is taken for the stage it looks like, so that what stands below it is
    checked as well. Misspelt sections are left to the schema.

    Args:
        content: The file without its `defaults:`.
        package: Where Hydra puts it: `default.model.rsunet` for a preset, else empty.
        file: How messages name it.

    >>> layer, faults = split_levels({"trian": {"data": {}}, "model": {}}, "", "my.yaml")
    >>> layer.levels["train"], str(faults[0])
    ({'data': {}}, "my.yaml: trian: no such stage.\n  Did you mean 'train'?")
    """
    for key in reversed(package.split(".") if package else []):
        content = {key: content}
    levels: dict[str, Tree] = {level: {} for level in (TOP, DEFAULT, *STAGES)}
    faults: list[Fault] = []
    for key, value in content.items():
        fault, level = _read_key(key, file, package)
        faults += [fault] if fault else []
        if value is None and key in (*Config.model_fields, *levels):
            continue  # a heading with everything below it commented out
        if key in STAGES and isinstance(value, dict) and not VOLUME_KEYS.isdisjoint(value):
            volume = {name: value[name] for name in value if name in VOLUME_KEYS}
            value = {name: value[name] for name in value if name not in VOLUME_KEYS}
            faults.append(_volume_fault(f"{file}: {key}", key, volume))
            levels[TOP] = merge(levels[TOP], {"data": {key: volume}})
        if fault is not None and "'defaults'" in fault.remedy:
            continue
        if level == TOP:
            levels[TOP] = merge(levels[TOP], {key: value})
        elif isinstance(value, dict):
            levels[level] = merge(levels[level], _without_empty(value))
        else:
            faults.append(Fault(f"{file}: {key}", f"{value!r} is no stage.", "Sections go here."))
    return Layer(file, levels), faults


def _read_key(key: str, file: str, package: str) -> tuple[Fault | None, str]:
    sections, levels = Config.model_fields, (DEFAULT, *STAGES)
    where = f"{file}: {key}"
    if key in levels:
        return None, key
    if key in sections:
        return None, TOP
    if package and package.split(".")[0] == key:
        remedy = "A file in a folder is a preset: name its place on the first line, such as\n"
        return Fault(where, "no such section.", f"{remedy}    # @package _global_"), TOP
    if key in MODES:
        return Fault(where, "no such stage.", f"Write test:, which serves {_served()}."), "test"
    hint = did_you_mean(key, [*sections, *levels, "defaults"])
    if hint == "Did you mean 'defaults'?":
        return Fault(where, "no such section.", hint), TOP
    near = next((level for level in levels if hint == f"Did you mean '{level}'?"), TOP)
    return (Fault(where, "no such stage.", hint), near) if near else (None, TOP)


def _volume_fault(where: str, stage: str, volume: Tree) -> Fault:
    named = ", ".join(f"{name}: {value}" for name, value in volume.items())
    return Fault(
        where,
        f"holds {' and '.join(volume)} of a volume, and is the section of what differs in {stage}.",
        f"Volumes go to data.{stage}:\n    data: {{{stage}: {{{named}}}}}",
    )


def _served() -> str:
    return ", ".join(mode for mode in MODES if stage_of(mode) == "test")


def _without_empty(sections: Tree) -> Tree:
    return {key: value for key, value in sections.items() if value is not None}


def merge_layers(layers: Sequence[Layer]) -> dict[str, Tree]:
    """Lay the files over one another, level by level; the top level joins `default`.

    Returns:
        The trees of `default`, `train` and `test`.
    """
    merged: dict[str, Any] = {level: {} for level in (DEFAULT, *STAGES)}
    for layer in layers:
        own = merge(layer.levels[DEFAULT], layer.levels[TOP])
        merged[DEFAULT] = merge(merged[DEFAULT], own)
        for stage in STAGES:
            merged[stage] = merge(merged[stage], layer.levels[stage])
    return merged
