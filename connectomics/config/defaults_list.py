"""Which files a config is made of: Hydra's answer, and a better word where it has none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf.errors import OmegaConfBaseException

from connectomics.config.inheritance import TUTORIALS, is_file, leads_astray
from connectomics.config.schema_keys import keys_at
from connectomics.config.slips import PRESETS
from connectomics.errors import ConfigError, Fault, did_you_mean

LISTED = "Write for example:\n    defaults: [syn_em_r50, model/rsunet: demo, _self_]"
PICKED = "Write the group and one name, such as model/rsunet=demo."
TUNED = "--mode tune writes one into the run of a checkpoint; name that with --checkpoint."


def defaults_list(
    file: Path, shown: str, choices: Sequence[str], folders: Sequence[Path]
) -> list[tuple[Path, str, str]]:
    """Find the files that take part in a config.

    Args:
        file: The YAML file whose `defaults:` list to follow.
        shown: How messages name it.
        choices: Presets picked on the command line. One whose group is not in the list is
            appended, so that it is laid on top.
        folders: The search path.

    Returns:
        Files, the places their settings go to and the groups they are presets of (both empty for
        the root), in merge order.

    Raises:
        ConfigError: A file or preset that is missing or no YAML, or a list that cannot work.
    """
    _check_choices(choices, folders)
    found = _ask_hydra(file, shown, folders, choices)
    return [(_find(name, folders), package, name.rpartition("/")[0]) for name, package in found]


def search_path(file: Path, presets: Sequence[Path] = ()) -> list[Path]:
    """The file's own folder, further presets, the tutorials, the presets of the package.

    The tutorials are part of the repository, not of an installed package, so they are on the
    path only where the package lies in a clone.
    """
    folders = [file.absolute().parent, *(p.absolute() for p in presets), TUTORIALS, PRESETS]
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]


def _find(name: str, folders: Sequence[Path]) -> Path:
    name = name if name.endswith(".yaml") else f"{name}.yaml"
    return next(folder / name for folder in folders if (folder / name).is_file())


def _check_choices(choices: Sequence[str], folders: Sequence[Path]) -> None:
    """Refuse groups that do not exist; Hydra would take the choice for something else."""
    faults = []
    for choice in choices:
        group = group_of(choice)
        if package := leads_astray(choice.partition("=")[0]):
            problem = f"puts settings under {package!r}, and there is no such section."
            faults.append(Fault(f"command line: {choice}", problem, f"Take @{package} out."))
        elif not _options(group, folders):
            problem = f"there are no presets {group!r}."
            hint = _dotted(choice) or did_you_mean(group, _groups())
            hint = TUNED if group == "decoding" else hint
            faults.append(Fault(f"command line: {choice}", problem, hint))
        elif choice.partition("=")[2].startswith("{"):
            faults.append(Fault(f"command line: {choice}", "names no preset.", PICKED))
    if faults:
        raise ConfigError.of(faults)


def _dotted(choice: str) -> str:
    """The key or preset that was meant, where a slash stands in the wrong place."""
    key, _, value = choice.partition("=")
    above, _, last = key.lstrip("+~").replace("/", ".").rpartition(".")
    if above and last in keys_at(tuple(above.split("."))):
        return f"Keys are written with dots: {above}.{last}={value}"
    if is_file(PRESETS / key / f"{value}.yaml"):
        group, _, name = f"{key}/{value}".rpartition("/")
        return f"Did you mean {group}={name}?"
    return ""


def _ask_hydra(
    file: Path, shown: str, folders: Sequence[Path], choices: Sequence[str]
) -> list[tuple[str, str]]:
    """Names and packages in merge order."""
    where, remedy, name = f"{shown}: defaults", LISTED, file.name.removesuffix(".yaml")
    quoted = ",".join(f"'file://{_escaped(folder)}'" for folder in folders[1:])
    overrides = [f"hydra.searchpath=[{quoted}]"]
    try:
        with initialize_config_dir(str(folders[0]), job_name="config", version_base="1.3"):
            loader = GlobalHydra.instance().config_loader()
            found = loader.compute_defaults_list(name, overrides, RunMode.RUN)
            if choices:
                where, remedy = f"command line: {' '.join(choices)}", PICKED
                known = found.overrides.known_choices
                overrides += [_as_override(choice, known) for choice in choices]
                found = loader.compute_defaults_list(name, overrides, RunMode.RUN)
    except RecursionError:
        problem = "the files inherit one another in a circle."
        remedy = "Take one of them out of the other's list."
        raise ConfigError(f"{shown}: defaults", problem, remedy) from None
    except MissingConfigException as error:
        fault = _missing(error, f"{shown}: defaults", folders, choices)
        raise ConfigError.of([fault]) from None
    except (HydraException, OmegaConfBaseException, ValueError, AssertionError) as error:
        problem = str(error).strip().partition("\n")[0] or "is nothing that Hydra can follow."
        raise ConfigError(where, problem, "" if "use '" in problem else remedy) from None
    return [
        (default.config_path, default.package or "")
        for default in found.defaults
        if default.config_path and "hydra/config" not in (default.config_path, default.parent)
    ]


def _as_override(choice: str, known: dict[str, Any]) -> str:
    """Hydra wants a plus for a group that is not in the list, and none for one that is."""
    if choice.startswith("~"):
        return choice
    bare = choice.lstrip("+")
    return bare if group_of(choice) in known else f"+{bare}"


def _missing(
    error: MissingConfigException, where: str, folders: Sequence[Path], choices: Sequence[str]
) -> Fault:
    group, _, name = str(error.missing_cfg_file).rpartition("/")
    for choice in choices:
        where = f"command line: {choice}" if group_of(choice) == group else where
    kind = f"no preset {name!r} in {group}" if group else f"no config {name!r}"
    options = _options(group, folders)
    if not options:
        return Fault(where, f"there are no presets {group!r}.", did_you_mean(group, _groups()))
    return Fault(where, f"{kind}.", did_you_mean(name, options))


def group_of(choice: str) -> str:
    """The group that a choice on the command line picks from.

    >>> group_of("+model/rsunet@default=demo")
    'model/rsunet'
    """
    return re.split("[=@]", choice.lstrip("+~"))[0]


def _groups() -> set[str]:
    return {str(preset.parent.relative_to(PRESETS)) for preset in PRESETS.rglob("*.yaml")}


def _options(group: str, folders: Sequence[Path]) -> set[str]:
    return {
        file.stem for folder in folders for file in (folder / group).glob("*.yaml") if is_file(file)
    }


def _escaped(folder: Path) -> str:
    return re.sub(r"(\\*)'", r"\1\1\\'", str(folder))
