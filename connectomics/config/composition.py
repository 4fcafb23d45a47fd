"""From a config file to its layers: the file, what it inherits and its presets, in order.

Hydra decides which files take part, in which order and where each lands: `defaults:` lists,
config groups, choices on the command line, search path. Each file stays a layer of its own
here, because a message has to name the file a value was written in, and because `default:`
and the top level of a file mean the same thing, also between a file and one that inherits it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from connectomics.config.levels import Layer, split_levels
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
    typed = {group_of(choice) for choice in choices}
    beside = _picked_beside(path, contents, folders) if MACHINE not in typed else None
    layers, last, faults = [], [], []
    for source, package, group in files:
        source_shown = shown if source.samefile(path) else str(seen_from_here(source))
        content = contents.get(source.resolve()) or read_yaml(source, source_shown)
        sections = {key: value for key, value in content.items() if key != "defaults"}
        layer, found = split_levels(sections, package, source_shown)
        if group == MACHINE:
            layer = _less_picked(layer, [*choices, *sorted(beside or ())])
        # What is typed also beats what a file says of its own, after its presets.
        (last if group in typed - {MACHINE} else layers).append(layer)
        faults += found
    return Composition((*layers, *last), tuple(faults))


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
        own.add(name.removeprefix("/").rpartition("/")[0])
        for found in find_config(name, group, folders):
            inherited = _picked_beside(found, contents, folders, name.rpartition("/")[0])
            below = below if inherited is None else (below or set()) | inherited
    if MACHINE in own:
        return own - {MACHINE, ""}
    return None if below is None else below | own - {""}


def _less_picked(machine: Layer, choices: Sequence[str]) -> Layer:
    """What a machine says, less the sections for which other presets are picked."""
    levels = machine.levels
    for choice in choices:
        if not choice.startswith("~"):
            path = group_of(choice).split("/")
            levels = {level: _without(tree, path) for level, tree in levels.items()}
    return Layer(machine.file, levels)


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
