"""From a config file to a config: composed, refined for its stage, checked, made complete."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connectomics.config.checks import check_mode, check_sections
from connectomics.config.components import Components
from connectomics.config.derived import derive
from connectomics.config.dotted import (
    ABSENT,
    format_path,
    look_up,
    overlaps,
    parse_path,
)
from connectomics.config.levels import MODES, STAGES, stage_of
from connectomics.config.merging import Tree
from connectomics.config.schema import Config
from connectomics.config.schema_keys import is_key
from connectomics.config.validation import Validated, validate_as
from connectomics.config.yaml_text import write_yaml
from connectomics.errors import ConfigError, ConnectomicsError, Fault, did_you_mean

if TYPE_CHECKING:
    from connectomics.config.places import Sources
    from connectomics.config.stage_trees import StageTree

Check = Callable[[Config], Iterable[Fault]]


@dataclass(frozen=True)
class Resolved:
    """A config, and where it came from.

    Attributes:
        config: The config of one mode, checked, with its derived values.
        training: The config of training, whatever the mode: what another mode has to know of it.
        mode: `train`, `infer`, `decode`, `evaluate`, `test` or `tune`.
        file: The file it was read from.
        document: The composed config, its stages apart, the command line worked in. Reading
            it again gives the same config in every mode.
        overrides: What the command line changed.
        sources: The files and overrides it was made from.
        components: What it may name, where that was known.
    """

    config: Config
    training: Config
    mode: str
    file: Path
    document: dict[str, Any]
    overrides: tuple[str, ...]
    sources: Sources
    components: Components | None = None

    def to_yaml(self) -> str:
        """The document: what a run folder keeps as `config.yaml`."""
        return write_yaml(self.document)

    def config_to_yaml(self) -> str:
        """The config of this mode with every value there is, defaults and derived ones too."""
        return write_yaml(self.config.model_dump())

    def notes(self) -> list[str]:
        """What a user is to know of what the command line moved, and of what stayed beside it."""
        splits = ("train", "val") if self.mode == "train" else ("test",)
        found = (self.sources.left_behind(split, stage_of(self.mode)) for split in splits)
        return [note for note in (*found, self.sources.beside_machine(stage_of(self.mode))) if note]

    @contextmanager
    def naming_places(self) -> Iterator[None]:
        """Let errors about a key name the file, and the level in it, that say so.

        Raises:
            ConnectomicsError: What came up inside.
        """
        try:
            yield
        except ConnectomicsError as error:
            schema = type(self.config)
            error.faults = tuple(
                replace(one, where=self.place(one.where)) if is_key(one.where, schema) else one
                for one in error.faults
            )
            raise

    def place(self, where: str) -> str:
        """Name the file and the level at which a value was written."""
        return self.sources.place(where, stage_of(self.mode))


def load_config(
    file: str | Path,
    *,
    mode: str = "train",
    overrides: Sequence[str] = (),
    components: Components | None = None,
    checks: Sequence[Check] = (),
    presets: Sequence[Path] = (),
) -> Resolved:
    """Read a config file for a mode.

    Merge order: the files of the `defaults:` list one over the other, in each the top level
    over `default:`; then the mode's stage section; then the overrides. Both stages are checked
    whatever the mode, so that a training does not end with a config that cannot be tested.

    Args:
        file: The YAML file.
        mode: One of `MODES`.
        overrides: `key=value` in Hydra's grammar.
        components: What it may name. Unless given, what follows from these, the channels of
            losses, decoders and targets, is neither filled in nor checked.
        checks: Further checks, of names and settings that only higher floors know. They see
            a config with derived values, and name places by dotted path.
        presets: Folders of presets beside those that come with the package.

    Raises:
        ConfigError: Every fault that could be found, each with its place and remedy.
    """
    # Hydra takes a third of a second to import; most that import this package need the schema.
    from connectomics.config.composition import compose
    from connectomics.config.overrides import parse_overrides
    from connectomics.config.places import Sources
    from connectomics.config.stage_trees import document_of, stage_trees

    require_mode(mode)
    first = stage_of(mode)
    parsed = parse_overrides(overrides)
    composition = compose(file, parsed.choices, presets)
    machines = [c.partition("=")[2] for c in parsed.choices if c.lstrip("+").startswith("machine=")]
    sources = Sources(
        str(file), composition.layers, parsed.assignments, machines[-1] if machines else ""
    )
    trees = stage_trees(sources)
    configs, found = _read_stages(trees, sources, mode, components, checks)
    faults = [*composition.faults, *trees[first].misfits, *found]
    if faults:
        raise ConfigError.of(dict.fromkeys(faults))
    return Resolved(
        config=configs[first],
        training=configs["train"],
        mode=mode,
        file=Path(file),
        document=document_of(trees),
        overrides=tuple(overrides),
        sources=sources,
        components=components,
    )


def require_mode(mode: str) -> None:
    """Make sure that there is such a mode.

    Raises:
        ConfigError: There is not.
    """
    if mode not in MODES:
        raise ConfigError("--mode", f"there is no mode {mode!r}.", did_you_mean(mode, MODES))


def _read_stages(
    trees: Mapping[str, StageTree],
    sources: Sources,
    mode: str,
    components: Components | None,
    checks: Sequence[Check],
) -> tuple[dict[str, Config], list[Fault]]:
    """The config of each stage, and what is wrong with them; first that of the mode."""
    no_volumes = not any(_names_volumes(trees[stage].tree) for stage in STAGES)
    first, configs, faults = stage_of(mode), {}, []
    for stage in sorted(STAGES, key=lambda stage: stage != first):
        read = _read(trees[stage], components, no_volumes=no_volumes)
        configs[stage] = read.config
        found = _faults(read, mode if stage == first else None, components, checks)
        faults += [_placed(fault, read, sources, stage) for fault in found]
    return configs, faults


def _names_volumes(tree: Tree) -> bool:
    found = [look_up(tree, ("data", split)) for split in ("train", "val", "test")]
    return any(split is not ABSENT and split is not None for split in found)


def _read(
    stage: StageTree, components: Components | None, *, no_volumes: bool
) -> Validated[Config]:
    read = validate_as(Config if components is None else components.schema, stage.tree)
    read.lost += [parse_path(fault.where) for fault in stage.faults]
    read.faults[:0] = stage.faults
    read.config = derive(read.config, components, no_volumes=no_volumes)
    return read


def _faults(
    read: Validated[Config],
    mode: str | None,
    components: Components | None,
    checks: Sequence[Check],
) -> Iterator[Fault]:
    """What the schema finds, and what other checks do but for consequences of that."""
    yield from read.faults
    found = list(check_sections(read.config, components, lost=read.lost))
    if mode:
        found += check_mode(read.config, mode)
    known = {fault.where for fault in found}
    for check in checks:
        found += [fault for fault in check(read.config) if fault.where not in known]
    for fault in found:
        path = parse_path(fault.where)
        if not any(overlaps(path, lost) for lost in read.lost):
            yield fault


def _placed(fault: Fault, read: Validated[Config], sources: Sources, stage: str) -> Fault:
    written = read.as_written(parse_path(fault.where))
    place = sources.place(format_path(written), stage)
    changed = sources.later_change(format_path(written), fault.because, stage)
    if changed:
        return Fault(changed, f"does not go with {place}: {fault.problem}", fault.remedy)
    return Fault(place, fault.problem, fault.remedy)
