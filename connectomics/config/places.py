"""Where in which file, or on the command line, a value of the config was written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from connectomics.config.dotted import (
    ABSENT,
    DottedPath,
    look_up,
    overlaps,
    parse_path,
)
from connectomics.config.levels import DEFAULT, TOP, Layer
from connectomics.config.merging import Tree
from connectomics.config.overrides import Assignment
from connectomics.config.schema import Config


@dataclass(frozen=True)
class Sources:
    """All that a config was made from.

    Attributes:
        file: The file that was named on the command line.
        layers: It, what it inherits and its presets, in the order they were merged.
        assignments: The changes from the command line, in order.
    """

    file: str
    layers: Sequence[Layer]
    assignments: Sequence[Assignment]

    def place(self, where: str, stage: str) -> str:
        """Name the file and the level at which a value was written.

        Args:
            where: A dotted path. What does not begin with a section is given back as it is.
            stage: The stage whose value is meant, `train` or `test`.

        Returns:
            Such as `tutorials/my.yaml: default.data.dataloader.patch_size`. A value that was
            written nowhere is placed where most of the path to it was written.
        """
        path = parse_path(where)
        if not self._is_ours(path):
            return where
        if any(_sets(assignment, path, stage) for assignment in self.assignments):
            return f"command line: {where}"
        best, place = 0, f"{self.file}: {where}"
        for file, level, tree in self._by_precedence(stage):
            depth = _depth(tree, path)
            if depth > best:
                best, place = depth, f"{file}: {f'{level}.' if level else ''}{where}"
        return place

    def _is_ours(self, path: DottedPath) -> bool:
        written = (tree for *_, tree in self._by_precedence("train", "test"))
        return path[0] in Config.model_fields or any(path[0] in tree for tree in written)

    def _by_precedence(self, *stages: str) -> Iterator[tuple[str, str, Tree]]:
        later_first = list(reversed(self.layers))
        for stage in stages:
            yield from ((layer.file, stage, layer.levels[stage]) for layer in later_first)
        for layer in later_first:
            for level in (TOP, DEFAULT):
                yield layer.file, level, layer.levels[level]


def _sets(assignment: Assignment, path: DottedPath, stage: str) -> bool:
    """Whether the value at a path came from the command line."""
    if assignment.delete or assignment.level not in ("", DEFAULT, stage):
        return False
    depth = len(assignment.path)
    if not overlaps(assignment.path, path) or len(path) < depth:
        return False
    return _depth(assignment.value, path[depth:]) == len(path) - depth


def _depth(tree: Any, path: DottedPath) -> int:
    """How many keys of the path the tree has; a bare name of an item is its `name`."""
    if path[-1:] == ("name",) and isinstance(look_up(tree, path[:-1]), str):
        return len(path)
    return next(n for n in range(len(path), -1, -1) if look_up(tree, path[:n]) is not ABSENT)
