"""From a config file to its layers: the file, what it inherits and its presets, in order.

Hydra decides which files take part, in which order and where each lands: `defaults:` lists,
config groups, choices on the command line, search path. Each file stays a layer of its own
here, because a message has to name the file a value was written in, and because `default:`
and the top level of a file mean the same thing, also between a file and one that inherits it.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectomics.config.defaults_list import TUTORIALS, defaults_list, relative_to_here
from connectomics.config.levels import Layer, split_levels
from connectomics.config.yaml_text import read_yaml
from connectomics.errors import ConfigError, Fault


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
    content = read_yaml(path, shown)
    if not content:
        remedy = "Start from a tutorial with the line\n    defaults: [syn_em_r50, _self_]"
        raise ConfigError(shown, "is empty.", remedy)
    _check_defaults(path, content, shown)
    layers, faults = [], []
    for source, package in defaults_list(path, shown, choices, presets):
        if source.samefile(path):
            source_shown, source_content = shown, content
        else:
            source_shown = relative_to_here(source)
            source_content = read_yaml(source, source_shown)
            _check_defaults(source, source_content, source_shown)
        sections = {key: value for key, value in source_content.items() if key != "defaults"}
        layer, found = split_levels(sections, package, source_shown)
        layers.append(layer)
        faults += found
    return Composition(tuple(layers), tuple(faults))


def _require_file(path: Path, shown: str) -> None:
    if path.suffix == ".yaml" and path.is_file():
        return
    if path.is_file():
        raise ConfigError(shown, "is not a .yaml file.", "Give the config the suffix .yaml.")
    if path.is_dir():
        raise ConfigError(shown, "is a folder.", "Name a .yaml file in it.")
    configs = [f for folder in (path.parent, TUTORIALS) for f in sorted(folder.glob("*.yaml"))]
    names = {config.name: relative_to_here(config) for config in configs}
    near = difflib.get_close_matches(path.name, names, n=1)
    listed = f"Configs to start from: {', '.join(names.values())}."
    remedy = f"Did you mean {names[near[0]]!r}?" if near else listed
    raise ConfigError(shown, "no such file.", remedy)


def _check_defaults(path: Path, content: dict[str, Any], shown: str) -> None:
    """Refuse the defaults lists that Hydra would take and that do not do what they look like."""
    if "_base_" in content:
        bases = content["_base_"] if isinstance(content["_base_"], list) else [content["_base_"]]
        remedy = f"Write instead:\n    {_line([Path(str(base)).stem for base in bases])}"
        raise ConfigError(f"{shown}: _base_", "inheritance is written otherwise here.", remedy)
    if "defaults" not in content:
        return
    where, defaults = f"{shown}: defaults", content["defaults"]
    if not isinstance(defaults, list):
        remedy = f"Write for example:\n    {_line(['syn_cremi'])}"
        raise ConfigError(where, f"{defaults!r} is not a list.", remedy)
    if "${" in str(defaults):
        raise ConfigError(where, "holds an interpolation.", "Name files and presets themselves.")
    if path.stem in defaults:
        problem = f"the file inherits itself: {path.stem!r} is its own name."
        remedy = "A file beside the config comes before a tutorial of the same name; rename it."
        raise ConfigError(where, problem, remedy)
    if "_self_" not in defaults and defaults and len(content) > 1:
        problem = "does not say where the file's own settings come in."
        remedy = f"Add _self_, last if they are to win:\n    {_line(defaults)}"
        raise ConfigError(where, problem, remedy)


def _line(defaults: list[Any]) -> str:
    return f"defaults: [{', '.join([*map(str, defaults), '_self_'])}]"
