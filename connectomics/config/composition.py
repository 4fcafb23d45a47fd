"""From a config file to its layers: the file, what it inherits and its presets, in order.

Hydra decides which files take part, in which order and where each lands: `defaults:` lists,
config groups, choices on the command line, search path. Each file stays a layer of its own
here, because a message has to name the file a value was written in, and because `default:`
and the top level of a file mean the same thing, also between a file and one that inherits it.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from connectomics.config.defaults_list import defaults_list, group_of, search_path
from connectomics.config.inheritance import (
    TUTORIALS,
    Content,
    config_names,
    find_config,
    is_file,
    read_inherited,
)
from connectomics.config.levels import DEFAULT, STAGES, TOP, Layer, split_levels
from connectomics.config.merging import Tree
from connectomics.config.overrides import MACHINE
from connectomics.config.yaml_text import read_yaml
from connectomics.errors import ConfigError, Fault
from connectomics.naming import seen_from_here


@dataclass(frozen=True)
class Composition:
    """Layers in the order in which they are merged, and what is wrong with them."""

    layers: tuple[Layer, ...]
    faults: tuple[Fault, ...]


def compose(
    file: str | Path, choices: Sequence[str] = (), presets: Sequence[Path] = ()
) -> Composition:
    """Read a config file and all it is made of.

    Args:
        file: The YAML file.
        choices: Presets picked on the command line, such as `model/rsunet=small`.
        presets: Folders of presets beside those that come with the package.

    Raises:
        ConfigError: A file that is missing or no YAML, or a `defaults:` list that cannot work.
    """
    path, shown = Path(file), str(file)
    _require_file(path, shown)
    folders = search_path(path, presets)
    picked = [choice.lstrip("+~").partition("@")[0].replace("=", "/", 1) for choice in choices]
    contents = read_inherited(path, shown, folders, picked)
    if not contents[path.resolve()]:
        remedy = "Start from a tutorial with the line\n    defaults: [syn_em_r50, _self_]"
        raise ConfigError(shown, "is empty.", remedy)
    files = defaults_list(path, shown, choices, folders)  # no circle among them, from here on
    read, faults = [], []
    for source, package, group in files:
        source_shown = shown if source.samefile(path) else str(seen_from_here(source))
        content = contents.get(source.resolve()) or read_yaml(source, source_shown)
        sections = {key: value for key, value in content.items() if key != "defaults"}
        layer, found = split_levels(sections, package, source_shown)
        read.append((layer, group))
        faults += found
    own_machine = MACHINE not in map(group_of, choices)
    beside = _picked_beside(path, contents, folders) if own_machine else None
    return Composition(tuple(_arranged(read, choices, beside or ())), tuple(faults))


def _arranged(
    read: Sequence[tuple[Layer, str]], choices: Sequence[str], beside: Collection[str]
) -> list[Layer]:
    """Layers in the order in which they are merged.

    What is typed beats also what a file says of its own, after its presets. One that is put
    elsewhere (`group@place=name`) is left where Hydra puts it.

    Args:
        read: Layers and their groups, as Hydra has them.
        choices: Presets picked on the command line.
        beside: Groups of which presets are picked beside the machine of a file.
    """
    picked = {group_of(choice) for choice in choices if not choice.startswith("~")}.union(beside)
    picked = {group for layer, group in read if group in picked and _is_preset_of(layer, group)}
    typed = {group_of(choice) for choice in choices if "@" not in choice} - {MACHINE}
    last = [layer for layer, group in read if group in typed]
    first = [
        _giving_way(_less_picked(layer, picked) if group == MACHINE else layer, last)
        for layer, group in read
        if group not in typed
    ]
    return [*first, *last]


def _picked_beside(
    file: Path, contents: Mapping[Path, Content], folders: Sequence[Path], group: str = ""
) -> set[str] | None:
    """The groups of which a file that picks a machine picks presets too, or one that inherits it.

    These are more special than the machine, wherever they stand in a list.

    Args:
        file: The config.
        contents: What it and all that it names holds, by resolved path.
        folders: The search path.
        group: Where it lies, seen from there.

    Returns:
        Groups; None where no machine is picked.
    """
    own: set[str] = set()
    below: set[str] | None = None
    for name in config_names(contents.get(file.resolve(), {}).get("defaults", [])):
        place = name.removeprefix("/").rpartition("/")[0]
        own.add(place)
        for found in find_config(name, group, folders):
            inherited = _picked_beside(found, contents, folders, place)
            below = below if inherited is None else (below or set()) | inherited
    if MACHINE in own:
        return own - {MACHINE, ""}
    return None if below is None else below | own - {""}


def _is_preset_of(layer: Layer, group: str) -> bool:
    """Whether all that a file says lies in the section that its folder is named after."""
    trees = [tree for tree in layer.levels.values() if tree]
    for key in group.split("/"):
        if any(set(tree) != {key} or not isinstance(tree[key], dict) for tree in trees):
            return False
        trees = [tree[key] for tree in trees]
    return True


def _less_picked(machine: Layer, picked: Collection[str]) -> Layer:
    """What a machine says, less the sections for which other presets are picked."""
    levels = machine.levels
    for group in picked:
        levels = {level: _without(tree, group.split("/")) for level, tree in levels.items()}
    return Layer(machine.file, levels)


def _giving_way(layer: Layer, typed: Sequence[Layer]) -> Layer:
    """What a file says, less what it says of one stage alone and what is typed says of both."""
    levels = dict(layer.levels)
    for preset in typed:
        for stage, level in product(STAGES, (TOP, DEFAULT)):
            levels[stage] = _less(levels[stage], preset.levels[level])
    return Layer(layer.file, levels)


def _less(tree: Tree, other: Tree) -> Tree:
    """A copy without the values that another tree has too.

    >>> _less({"data": {"noise": None, "train": 1}}, {"data": {"noise": {"prob": 0.5}}})
    {'data': {'train': 1}}
    """
    return {
        key: _less(value, other[key]) if key in other else value
        for key, value in tree.items()
        if key not in other or (isinstance(value, dict) and isinstance(other[key], dict))
    }


def _without(tree: Tree, path: Sequence[str]) -> Tree:
    """A copy without one section.

    >>> _without({"data": {"augmentation": {"flip": None}, "train": 1}}, ["data", "augmentation"])
    {'data': {'train': 1}}
    """
    key, *below = path
    if not isinstance(tree.get(key), dict):
        return tree
    rest = {name: value for name, value in tree.items() if name != key}
    return {**rest, key: _without(tree[key], below)} if below else rest


def _require_file(path: Path, shown: str) -> None:
    if path.suffix == ".yaml" and is_file(path):
        return
    if is_file(path):
        remedy = SUFFIXES.get(path.suffix, "Give the config the suffix .yaml.")
        raise ConfigError(shown, "is not a .yaml file.", remedy)
    try:
        is_folder, beside = path.is_dir(), sorted(path.parent.glob("*.yaml"))
    except (OSError, ValueError) as error:
        raise ConfigError(shown[:80], "no file can have this name.") from error
    if is_folder:
        raise ConfigError(shown, "is a folder.", "Name a .yaml file in it.")
    configs = [*beside, *sorted(TUTORIALS.glob("*.yaml"))]
    names = {config.name: str(seen_from_here(config)) for config in configs}
    near = difflib.get_close_matches(path.name, names, n=1)
    listed = f"Configs to start from: {', '.join(names.values())}."
    remedy = f"Did you mean {names[near[0]]!r}?" if near else listed
    raise ConfigError(shown, "no such file.", remedy)


SUFFIXES = {
    ".ckpt": "A checkpoint goes to --checkpoint, and the config it was trained with to --config.",
    ".json": "JSON is YAML: give the file the suffix .yaml.",
}
