"""The two stages of a config as plain trees, and both of them as one document."""

from __future__ import annotations

from dataclasses import dataclass, field

from connectomics.config.dotted import DottedPath, format_path, leaves
from connectomics.config.interpolation import resolve, without
from connectomics.config.levels import DEFAULT, STAGES, merge_layers
from connectomics.config.merging import Tree, common, difference, merge
from connectomics.config.overrides import Assignment, apply_override
from connectomics.config.places import Sources
from connectomics.config.schema import Config
from connectomics.errors import ConfigError, Fault

CODE = "_target_"


@dataclass(frozen=True)
class StageTree:
    """All sections of one stage as nested dicts and lists, without interpolations.

    Attributes:
        tree: The sections. What `faults` speak of is left out.
        faults: What could not be read, by dotted path.
        misfits: Overrides that could not be made.
    """

    tree: Tree
    faults: list[Fault] = field(default_factory=list)
    misfits: list[Fault] = field(default_factory=list)


def stage_trees(sources: Sources) -> dict[str, StageTree]:
    """Merge what a config was made from, for either stage.

    An override whose key begins with `default`, `train` or `test` changes that level before
    the stages are merged; any other changes the merged sections, and so has the last word.
    """
    levels, misfits = merge_layers(sources.layers), []
    for assignment in sources.assignments:
        if assignment.level:
            level = levels[assignment.level]
            levels[assignment.level] = _change(level, assignment, misfits)
    return {stage: _stage_tree(levels, stage, sources, misfits) for stage in STAGES}


def document_of(trees: dict[str, StageTree]) -> Tree:
    """Write both stages as one config: what they share under `default`, the rest apart."""
    train, test = trees["train"].tree, trees["test"].tree
    shared = common(train, test)
    shared = {section: shared[section] for section in Config.model_fields if section in shared}
    rest = {"train": difference(train, shared), "test": difference(test, shared)}
    return {DEFAULT: shared, **{stage: tree for stage, tree in rest.items() if tree}}


def _stage_tree(
    levels: dict[str, Tree], stage: str, sources: Sources, misfits: list[Fault]
) -> StageTree:
    tree, misfits = merge(levels[DEFAULT], levels[stage]), list(misfits)
    for assignment in sources.assignments:
        if not assignment.level:
            tree = _change(tree, assignment, misfits)
    tree, faults = resolve(tree)
    code = [path for path, _ in leaves(tree) if CODE in path]
    return StageTree(without(tree, code), [*faults, *map(_code_fault, code)], misfits)


def _change(tree: Tree, assignment: Assignment, misfits: list[Fault]) -> Tree:
    try:
        return apply_override(tree, assignment)
    except ConfigError as error:
        misfits += error.faults
        return tree


def _code_fault(path: DottedPath) -> Fault:
    return Fault(
        format_path(path),
        "a config is data and names no code.",
        "Pick losses, targets, augmentations, decoders and metrics by name.",
    )
