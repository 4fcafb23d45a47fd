"""The files that a config inherits, read and checked before Hydra follows its `defaults:` lists.

Hydra would take, or end deep inside for, lists that do not do what they look like.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from connectomics.config.levels import DEFAULT, STAGES
from connectomics.config.schema import Config
from connectomics.config.yaml_text import read_yaml, shorten
from connectomics.errors import ConfigError, Fault, did_you_mean
from connectomics.naming import seen_from_here

PACKAGE = Path(__file__).parents[1]
INSTALLED = PACKAGE / "tutorials"
TUTORIALS = INSTALLED if INSTALLED.is_dir() else PACKAGE.parent / "tutorials"
"""Inside the package where it is installed, beside it in a checkout."""


def tutorial_path(name: str) -> str:
    """Where a tutorial lies, seen from where commands are typed."""
    return str(seen_from_here(TUTORIALS / f"{name}.yaml"))


Content = dict[str, Any]


def read_inherited(
    file: Path, shown: str, folders: Sequence[Path], choices: Sequence[str]
) -> dict[Path, Content]:
    """Read a config, what it names in `defaults:`, what that names, and so on.

    Args:
        file: The config.
        shown: How messages name it.
        folders: The search path.
        choices: Names of presets picked on the command line, such as `model/rsunet/small`.

    Returns:
        What each file holds, by its resolved path. A name that leads to no file is left to Hydra.

    Raises:
        ConfigError: A file that is no YAML, or a `defaults:` list that cannot work.
    """
    read: dict[Path, Content] = {}
    named_in: dict[Path, list[Path]] = {}
    waiting = [(file, "")]
    for choice in choices:
        waiting += [(found, _group(choice)) for found in find_config(choice, "", folders)]
    while waiting:
        path, group = waiting.pop()
        if path.resolve() in read:
            continue
        named = shown if path == file else str(seen_from_here(path))
        content = read_yaml(path, named)
        read[path.resolve()] = content
        if faults := list(_defaults_faults(path, content, named, folders)):
            raise ConfigError.of(faults)
        named_in[path.resolve()] = []
        for name in config_names(content.get("defaults", [])):
            found = find_config(name, group, folders)
            waiting += [(one, _group(name)) for one in found]
            named_in[path.resolve()] += [one.resolve() for one in found]
    if (times := _times_read(file.resolve(), named_in)) > MOST_READ:
        problem = f"the files inherit one another on {times:,} ways."
        raise ConfigError(f"{shown}: defaults", problem, "Name each file in one list only.")
    return read


MOST_READ = 1000
"""How often Hydra may come to a file of a config."""


def _times_read(file: Path, named_in: dict[Path, list[Path]]) -> int:
    """How often Hydra comes to a file: once on every way. A circle is left to Hydra."""
    times: dict[Path, int] = {}

    def count(one: Path) -> int:
        if one not in times:
            times[one] = 0
            times[one] = 1 + sum(map(count, named_in.get(one, ())))
        return times[one]

    return count(file)


def find_config(name: str, group: str, folders: Sequence[Path]) -> list[Path]:
    """The files that a name may mean: in a group of presets, or from the top."""
    name = name if name.endswith(".yaml") else f"{name}.yaml"
    relative = [name.removeprefix("/"), *([f"{group}/{name}"] if group else [])]
    found = []
    for inside in relative:
        found += [folder / inside for folder in folders if is_file(folder / inside)][:1]
    return found


def is_file(path: Path) -> bool:
    """Whether a file lies there; a name that no file can have is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _group(name: str) -> str:
    return name.removeprefix("/").rpartition("/")[0]


def config_names(defaults: list[Any]) -> Iterator[str]:
    """The configs and presets that a list names, without its keywords and packages."""
    for entry in defaults:
        if isinstance(entry, str):
            yield entry.removeprefix("optional ").partition("@")[0]
            continue
        for key, value in entry.items():
            group = key.removeprefix("optional ").removeprefix("override ").partition("@")[0]
            options = value if isinstance(value, list) else [value]
            yield from (f"{group}/{option}" for option in options if option is not None)


def _defaults_faults(
    path: Path, content: Content, shown: str, folders: Sequence[Path]
) -> Iterator[Fault]:
    """Lists that Hydra would not take, or that do not do what they look like."""
    if "_base_" in content:
        bases = content["_base_"] if isinstance(content["_base_"], list) else [content["_base_"]]
        names = [Path(base).stem for base in bases if isinstance(base, str)]
        remedy = f"Write instead:\n    {_line(names or ['syn_cremi'])}"
        yield Fault(f"{shown}: _base_", "inheritance is written otherwise here.", remedy)
        return
    if "defaults" not in content:
        if "default" in content and not isinstance(content["default"], dict | None):
            yield _default_for_defaults(content["default"], shown)
        return
    where, defaults = f"{shown}: defaults", content["defaults"]
    if not isinstance(defaults, list):
        remedy = f"Write for example:\n    {_line(['syn_cremi'])}"
        yield Fault(where, f"{shorten(defaults)} is not a list.", remedy)
    elif "${" in str(defaults):
        yield Fault(where, "holds an interpolation.", "Name files and presets themselves.")
    elif odd := [item for item in enumerate(defaults) if not _is_entry(item[1])]:
        for i, entry in odd:
            yield Fault(f"{where}[{i}]", *_odd_entry(entry))
    elif astray := [(i, to) for i, entry in enumerate(defaults) if (to := leads_astray(entry))]:
        for i, package in astray:
            problem = f"puts settings under {package!r}, and there is no such section."
            yield Fault(f"{where}[{i}]", problem, f"Take @{package} out.")
    elif twice := [name for name, times in Counter(map(str, defaults)).items() if times > 1]:
        yield Fault(where, f"names {shorten(twice[0])} twice.", "Keep one of them.")
    elif path.stem in defaults:
        problem = f"the file inherits itself: {path.stem!r} is its own name."
        remedy = "A file beside the config comes before a tutorial of the same name; rename it."
        yield Fault(where, problem, remedy)
    elif "_self_" not in defaults and defaults and len(content) > 1:
        problem = "does not say where the file's own settings come in."
        remedy = f"Add _self_, last if they are to win:\n    {_line(defaults)}"
        yield Fault(where, problem, remedy)
    else:
        yield from _path_faults(where, defaults, folders)


def _default_for_defaults(value: Any, shown: str) -> Fault:
    names = value if isinstance(value, list) else [value]
    names = [name for name in names if isinstance(name, str) and name != "_self_"]
    problem = f"{shorten(value)} is no section: default: holds sections."
    remedy = f"Did you mean the list of what to start from?\n    {_line(names or ['syn_cremi'])}"
    return Fault(f"{shown}: default", problem, remedy)


def _is_entry(entry: Any) -> bool:
    if isinstance(entry, str):
        return _is_name(entry)
    if not isinstance(entry, dict) or len(entry) != 1:
        return False
    ((key, value),) = entry.items()
    options = value if isinstance(value, list) else [value]
    return _is_name(key) and all(option is None or _is_name(option) for option in options)


LONGEST_NAME = 200


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and len(value) <= LONGEST_NAME


def leads_astray(entry: Any) -> str:
    """The package that an entry names and no config has; empty where all is well."""
    key = next(iter(entry)) if isinstance(entry, dict) else entry
    package = str(key).partition("@")[2]
    known = {DEFAULT, *STAGES, *Config.model_fields, "_global_", "_here_", "_group_", "_name_"}
    return "" if not package or package.split(".")[0] in known else package


def _odd_entry(entry: Any) -> tuple[str, str]:
    if isinstance(entry, dict) and len(entry) > 1:
        parts = ", ".join(f"{key}: {value}" for key, value in entry.items())
        return f"{shorten(entry)} is several entries in one.", f"Write one each: [{parts}, ...]"
    remedy = f"Write names, and presets as 'group: name':\n    {_line(['syn_em_r50', EXAMPLE])}"
    return f"{shorten(entry)} names no config.", remedy


EXAMPLE = "model/rsunet: demo"


def _path_faults(where: str, defaults: list[Any], folders: Sequence[Path]) -> Iterator[Fault]:
    """Configs named by where they lie, rather than by how they are found."""
    for i, entry in enumerate(defaults):
        is_path = isinstance(entry, str) and (
            entry.startswith(("/", "./", "../", "~")) or "\\" in entry or entry.count("/")
        )
        beside = is_path and entry.startswith(("./", "../", "~"))
        named = entry.partition("@")[0].split()[-1] if is_path else ""
        if not is_path or (not beside and find_config(named, "", folders)):
            continue
        stem = Path(entry.replace("\\", "/")).stem
        names = {file.stem for folder in folders for file in folder.glob("*.yaml")}
        problem = f"{entry!r} is a path, and configs are found by their name."
        if stem in names:
            remedy = f"Write {stem}."
        else:
            hint = did_you_mean(stem, names)
            remedy = hint if hint.startswith("Did") else BESIDE
        yield Fault(f"{where}[{i}]", problem, remedy)


BESIDE = "Put the file beside this one, and write its name."


def _line(defaults: list[Any]) -> str:
    return f"defaults: [{', '.join([*map(_spelt, defaults), '_self_'])}]"


def _spelt(entry: Any) -> str:
    if isinstance(entry, dict):
        return ", ".join(f"{key}: {value}" for key, value in entry.items())
    return str(entry)
