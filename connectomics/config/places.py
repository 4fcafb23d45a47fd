"""Where in which file, or on the command line, a value of the config was written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectomics.config.dotted import (
    ABSENT,
    DottedPath,
    format_path,
    look_up,
    overlaps,
    parse_path,
)
from connectomics.config.levels import DEFAULT, TOP, Layer
from connectomics.config.merging import Tree, replaces_split
from connectomics.config.overrides import MACHINE, Assignment
from connectomics.config.schema import Config

BELONGING = ("image", "label", "mask", "neurons", "annotations", "z_range", "y_range", "x_range")
"""What of a split is of one volume and no other."""


@dataclass(frozen=True)
class Sources:
    """All that a config was made from.

    Attributes:
        file: The file that was named on the command line.
        layers: It, what it inherits and its presets, in the order they were merged.
        assignments: The changes from the command line, in order.
        machine: The preset that the command line picks of `machine`, or empty.
    """

    file: str
    layers: Sequence[Layer]
    assignments: Sequence[Assignment]
    machine: str = ""

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
        return self._find(path, stage)[1] if self._is_ours(path) else where

    def later_change(self, where: str, keys: Sequence[str], stage: str) -> str | None:
        """Name what was laid over the file of a value, and brought it into conflict with others.

        Whoever inherits a config and changes one thing is at fault, if at all, for that thing.

        Args:
            where: The value that does not fit any more, as for `place`.
            keys: What it has to fit.
            stage: `train` or `test`.

        Returns:
            The place of the key among them that was written last, if it was written later than
            the value, by the command line or an heir.
        """
        path = parse_path(where)
        if not keys or not self._is_ours(path):
            return None
        rank, *_ = self._find(path, stage)
        found = []
        for key in map(parse_path, keys):
            found += [
                (0, f"command line: {format_path(assignment.path)}")
                for assignment in self.assignments
                if overlaps(assignment.path, key) and not overlaps(assignment.path, path)
            ]
            when, place, written = self._find(key, stage)
            if written and not overlaps(key, path):
                found.append((when, place))
        first = min(found, default=None)
        return first[1] if first is not None and first[0] < rank else None

    def left_behind(self, split: str, stage: str) -> str:
        """Say what stays of the volumes of a file where the command line names another image.

        Args:
            split: `train`, `val` or `test`.
            stage: `train` or `test`.

        Returns:
            Empty where nothing stays that belongs to the image: a label, sections, ...
        """
        at: DottedPath = ("data", split)
        moved = {name for name in BELONGING if self._is_moved((*at, name), stage)}
        whole = any(at[: len(one.path)] == one.path for one in self.assignments)
        if whole or moved.isdisjoint(("image", "label")):
            return ""
        stays: dict[str, list[str]] = {}
        for name in BELONGING:
            _, place, written = self._find((*at, name), stage)
            if written and name not in moved:
                stays.setdefault(place.partition(": ")[0], []).append(name)
        if not stays:
            return ""
        kept = "; ".join(f"{' and '.join(names)} of {file}" for file, names in stays.items())
        named = " and ".join(name for name in BELONGING if name in moved)
        return f"data.{split} has {named} of the command line, and still {kept}"

    def beside_machine(self, stage: str) -> str:
        """Say which values of files hold against a machine that is typed.

        Args:
            stage: `train` or `test`.

        Returns:
            Empty where no machine is typed, or nothing that it says is said otherwise later.
        """
        if not self.machine:
            return ""
        kept: dict[str, list[str]] = {}
        for rank, layer in enumerate(reversed(self.layers), start=1):
            if Path(layer.file).parts[-2:] != (MACHINE, f"{self.machine}.yaml"):
                continue
            for path, value in _leaves(layer.levels[DEFAULT]):
                when, place, _ = self._find(path, stage)
                other = self._value(path, when, stage)
                if 0 < when < rank and other not in (ABSENT, value):
                    key = f"{format_path(path)}={other}".replace(" ", "")
                    kept.setdefault(place.partition(": ")[0], []).append(key)
        held = "; ".join(f"{file} still says {', '.join(keys)}" for file, keys in kept.items())
        return held and f"machine={self.machine}: what a file says itself beats it, and {held}"

    def _value(self, path: DottedPath, rank: int, stage: str) -> Any:
        found = [look_up(tree, path) for n, _, _, tree in self._by_precedence(stage) if n == rank]
        return next((value for value in found if value is not ABSENT), ABSENT)

    def _is_moved(self, path: DottedPath, stage: str) -> bool:
        return any(_sets(assignment, path, stage) for assignment in self.assignments)

    def _find(self, path: DottedPath, stage: str) -> tuple[int, str, bool]:
        """How late a value was written (the command line is 0), where, and whether it was."""
        where = format_path(path)
        if self._is_moved(path, stage):
            return 0, f"command line: {where}", True
        best, found = 0, (len(self.layers) + 1, f"{self.file}: {where}")
        for rank, file, level, tree in self._by_precedence(stage):
            depth = _depth(tree, path)
            if depth > best:
                best, found = depth, (rank, f"{file}: {f'{level}.' if level else ''}{where}")
            if replaces_split(look_up(tree, path[:2]), path[:2]):
                break  # what earlier layers say there is of other volumes, and gone
        changed = any(assignment.path[: len(path)] == path for assignment in self.assignments)
        if not best and changed:  # a section that only the command line names
            return 0, f"command line: {where}", True
        return *found, best == len(path)

    def _is_ours(self, path: DottedPath) -> bool:
        written = [tree for *_, tree in self._by_precedence("train", "test")]
        written += [{assignment.path[0]: None} for assignment in self.assignments]
        return path[0] in Config.model_fields or any(path[0] in tree for tree in written)

    def _by_precedence(self, *stages: str) -> Iterator[tuple[int, str, str, Tree]]:
        later_first = list(enumerate(reversed(self.layers), start=1))
        for stage in stages:
            for rank, layer in later_first:
                yield rank, layer.file, stage, layer.levels[stage]
        for rank, layer in later_first:
            for level in (TOP, DEFAULT):
                yield rank, layer.file, level, layer.levels[level]


def _leaves(tree: Any, at: DottedPath = ()) -> Iterator[tuple[DottedPath, Any]]:
    """Every value of a tree, with its place."""
    if not isinstance(tree, dict):
        yield at, tree
        return
    for key, value in tree.items():
        yield from _leaves(value, (*at, key))


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
