"""What a label volume holds: each id, its voxels, and the box that it lies in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from connectomics.evaluation.volumes import Labels, blocks_of, read, unsigned
from connectomics.geometry import Box
from connectomics.mapping import Part, map_blocks

_LOOSE_ROWS = 2**16


@dataclass(frozen=True, eq=False)
class Extents:
    """The objects of a label volume, or of a part of it.

    Attributes:
        ids: (k,) uint64, ascending.
        voxels: (k,) int64, how many each has.
        start: (k, 3) first voxel (z, y, x) of its box.
        stop: (k, 3) one past the last.
    """

    ids: np.ndarray
    voxels: np.ndarray
    start: np.ndarray
    stop: np.ndarray

    def __len__(self) -> int:
        return self.ids.size

    @property
    def columns(self) -> tuple[np.ndarray, ...]:
        """Ids, voxels, start and stop."""
        return self.ids, self.voxels, self.start, self.stop

    @property
    def top(self) -> int:
        """The largest id, 0 for none."""
        return int(self.ids[-1]) if self.ids.size else 0

    def selected(self, kept: np.ndarray) -> Extents:
        """The objects where `kept` is true, or the rows that it lists."""
        return Extents(*(column[kept] for column in self.columns))

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """(n,) the row of each id, -1 where there is no such object."""
        if not len(self):
            return np.full(len(ids), -1)
        row = np.minimum(np.searchsorted(self.ids, ids), len(self) - 1)
        return np.where(self.ids[row] == ids, row, -1)

    def renamed(self, names: np.ndarray | None) -> Extents:
        """Objects by other names; those of one name become one.

        Args:
            names: (k,) of each object; its id unless given.
        """
        names = self.ids if names is None else names
        order = np.argsort(names, kind="stable")
        ids, first = np.unique(names[order], return_index=True)
        if not ids.size:
            return NOTHING
        return Extents(
            ids.astype(np.uint64),
            np.add.reduceat(self.voxels[order], first),
            np.minimum.reduceat(self.start[order], first),
            np.maximum.reduceat(self.stop[order], first),
        )


NOTHING = Extents(
    np.zeros(0, np.uint64),
    np.zeros(0, np.int64),
    np.zeros((0, 3), np.int64),
    np.zeros((0, 3), np.int64),
)


def list_extents(labels: Labels) -> Extents:
    """List the objects of a label volume; where it already knows them, it is not read.

    Args:
        labels: (Z, Y, X) integers from 0, or bool; 0 is background.

    >>> found = list_extents(np.array([[[1, 2, 2, 0, 0, 3]]]))
    >>> found.ids.tolist(), found.voxels.tolist(), found.start[:, 2].tolist()
    ([1, 2, 3], [1, 2, 1], [0, 1, 5])
    """
    known = getattr(labels, "extents", None)
    found = list_values(labels) if known is None else known
    return found.selected(found.ids > 0)


def list_values(labels: Labels) -> Extents:
    """As `list_extents`, with background; negative numbers as their bits without a sign."""
    found, loose, rows = NOTHING, [], 0
    for part in map_blocks(partial(_measured, labels), blocks_of(labels), "labels read"):
        loose.append(Extents(**part))
        rows += len(loose[-1])
        # Rarely enough that each row is sorted but a few times.
        if rows > max(_LOOSE_ROWS, len(found)):
            found, loose, rows = _joined([found, *loose]), [], 0
    return _joined([found, *loose])


def _measured(labels: Labels, box: Box) -> Part:
    from connectomics.compiling import announced_compilation
    from connectomics.evaluation.runs import measure_runs

    part, at = np.ascontiguousarray(unsigned(read(labels, box))), np.asarray(box.start)
    with announced_compilation():
        ids, voxels, boxes = measure_runs(part)
    return {
        "ids": ids,
        "voxels": voxels,
        "start": boxes[:, :3] + at,
        "stop": boxes[:, 3:] + at + 1,
    }


def _joined(parts: list[Extents]) -> Extents:
    columns = zip(*(part.columns for part in parts), strict=True)
    return Extents(*map(np.concatenate, columns)).renamed(None)
