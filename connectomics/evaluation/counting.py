"""From the voxels of two label volumes to their contingency table: a sum over blocks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from connectomics.evaluation.contingency import ContingencyTable, Objects, sum_pairs
from connectomics.evaluation.volumes import (
    Labels,
    PairBlock,
    check_labels,
    map_pairs,
    unsigned,
)
from connectomics.mapping import Part
from connectomics.process.cpus import available_cpus

_SLAB_VOXELS = 4 * 2**20
_LOOSE_ROWS = 2**16


def contingency_table(
    truth: Labels,
    prediction: Labels,
    *,
    mask: Labels | None = None,
    threads: int | None = None,
) -> ContingencyTable:
    """Count the voxels that each truth object shares with each predicted one.

    Args:
        truth: Labels of any shape and integer (or bool) dtype; 0 is background. What is no
            array is (Z, Y, X) and read block by block, which counts the same.
        prediction: Labels of the same shape; the dtype may differ.
        mask: Same shape; 0 marks unlabelled voxels, which are left out on both sides.
        threads: How many; as many as there are processors unless given.

    Raises:
        DataError: Float or negative labels, CREMI's marks, or shapes that differ.

    >>> table = contingency_table(np.array([[0, 7, 7, 7]]), np.array([[2, 2, 2, 9]]))
    >>> table.truth.ids.tolist(), table.truth.sizes.tolist()
    ([7], [3])
    >>> table.counts.tolist(), table.iou().tolist()
    ([2, 1], [0.5, 0.3333333333333333])
    """
    parts = map_pairs(partial(_counted, threads), truth, prediction, mask)
    return add_up(PairCounts(**part) for part in parts).table()


@dataclass(frozen=True, eq=False)
class PairCounts:
    """How often pairs of labels occur in a part of a volume; `+` joins parts.

    It grows with the pairs that there are, not with the voxels.

    Attributes:
        keys: (k, 3) uint64: a true label, a predicted one, and 1 where they are labelled.
        counts: (k,) int64 voxels.
        cut: (c, 2) uint64 pairs of labels on a face of the volume, or beside unlabelled voxels.
    """

    keys: np.ndarray
    counts: np.ndarray
    cut: np.ndarray

    def __add__(self, other: PairCounts) -> PairCounts:
        return _joined([self, other])

    def table(self) -> ContingencyTable:
        """The table of everything counted."""
        labelled = self.keys[:, 2] == 1
        keys, counts = self.keys[labelled], self.counts[labelled]
        cut = np.concatenate([self.keys[~labelled, :2], self.cut])
        first, truth_index = _objects(keys[:, 0], counts, cut[:, 0])
        second, prediction_index = _objects(keys[:, 1], counts, cut[:, 1])
        shared = (keys[:, 0] != 0) & (keys[:, 1] != 0)
        pairs = truth_index[shared], prediction_index[shared]
        return ContingencyTable(first, second, *sum_pairs(*pairs, counts[shared]))


NOTHING_COUNTED = PairCounts(
    np.zeros((0, 3), np.uint64), np.zeros(0, np.int64), np.zeros((0, 2), np.uint64)
)


def count_block(block: PairBlock, *, threads: int | None = None) -> PairCounts:
    """Count the pairs of labels of a part of two volumes.

    Raises:
        DataError: Float or negative labels, or CREMI's marks.
    """
    from connectomics.compiling import announced_compilation

    check_labels("truth", block.truth, block.labelled)
    check_labels("prediction", block.prediction, block.labelled)
    arrays = unsigned(block.truth), unsigned(block.prediction), _as_bytes(block.labelled)
    with announced_compilation():
        keys, counts = _count(arrays, threads or available_cpus())
        cut = np.concatenate([np.zeros((0, 2), np.uint64), *_cut_pairs(arrays, block)])
    return _joined([PairCounts(keys, counts, cut)])


def _counted(threads: int | None, block: PairBlock) -> Part:
    return vars(count_block(block, threads=threads))


def add_up(parts: Iterable[PairCounts]) -> PairCounts:
    """The counts of all parts together, of which a few are held at a time."""
    total, loose, rows = NOTHING_COUNTED, [], 0
    for part in parts:
        loose.append(part)
        rows += len(part.keys) + len(part.cut)
        # Rarely enough that each row is sorted but a few times.
        if rows > max(_LOOSE_ROWS, len(total.keys) + len(total.cut)):
            total, loose, rows = _joined([total, *loose]), [], 0
    return _joined([total, *loose])


def _joined(parts: Sequence[PairCounts]) -> PairCounts:
    keys, row = _unique_rows(np.concatenate([part.keys for part in parts]))
    counts = np.zeros(len(keys), np.int64)
    np.add.at(counts, row, np.concatenate([part.counts for part in parts]))
    return PairCounts(keys, counts, _unique_rows(np.concatenate([part.cut for part in parts]))[0])


def _unique_rows(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows there are, each once, and which of them each row is."""
    order = np.lexsort(keys.T)
    ordered = keys[order]
    first = np.ones(len(keys), bool)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    row = np.empty(len(keys), np.int64)
    row[order] = np.cumsum(first) - 1
    return ordered[first], row


def _as_bytes(mask: np.ndarray | None) -> np.ndarray | None:
    return None if mask is None else (mask if mask.dtype == bool else mask != 0).view(np.uint8)


Arrays = tuple[np.ndarray, np.ndarray, np.ndarray | None]


def _each(arrays: Arrays, change: Callable[[np.ndarray], np.ndarray]) -> Arrays:
    truth, prediction, mask = arrays
    return change(truth), change(prediction), None if mask is None else change(mask)


def _count(arrays: Arrays, threads: int) -> tuple[np.ndarray, np.ndarray]:
    """Count pairs in parallel; a key may come up once per piece."""
    from connectomics.evaluation.runs import count_pairs

    def count(piece: Arrays) -> tuple[np.ndarray, np.ndarray]:
        first, second, mask = _each(piece, lambda a: np.ascontiguousarray(a).reshape(-1))
        if mask is None:
            return count_pairs(first, second, np.ones(1, np.uint8), 0)
        return count_pairs(first, second, mask, 1)

    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(count, _pieces(arrays, threads)))
    return np.concatenate([k for k, _ in found]), np.concatenate([c for _, c in found])


def _pieces(arrays: Arrays, threads: int) -> Iterator[Arrays]:
    """One piece per thread, or slabs that are cheap to make contiguous where they are not."""
    pieces = threads
    if all(a is None or a.flags.c_contiguous for a in arrays):
        arrays = _each(arrays, lambda a: a.reshape(-1))
    else:
        pieces = max(threads, arrays[0].size // _SLAB_VOXELS)
    length = len(arrays[0])
    edges = np.linspace(0, length, max(1, min(pieces, length)) + 1).astype(int).tolist()
    for start, stop in itertools.pairwise(edges):
        piece = slice(start, stop)
        yield _each(arrays, lambda a, piece=piece: a[piece])


def _cut_pairs(arrays: Arrays, block: PairBlock) -> Iterator[np.ndarray]:
    """Pairs of labels on the faces of the volume, and of labelled voxels beside unlabelled ones."""
    truth, prediction, _ = arrays
    for axis, position in block.faces():
        face = truth.take(position, axis), prediction.take(position, axis), None
        yield _count(face, 1)[0][:, :2]
    if block.mask is not None:
        rim = _beside_unlabelled(block.mask != 0)[block.inner]
        yield _count((truth[rim], prediction[rim], None), 1)[0][:, :2]


def _beside_unlabelled(labelled: np.ndarray) -> np.ndarray:
    """Labelled voxels that have an unlabelled neighbour along an axis."""
    beside = np.zeros_like(labelled)
    for axis in range(labelled.ndim):
        of, to = np.moveaxis(labelled, axis, 0), np.moveaxis(beside, axis, 0)
        to[1:] |= ~of[:-1]
        to[:-1] |= ~of[1:]
    return beside & labelled


def _objects(labels: np.ndarray, counts: np.ndarray, cut: np.ndarray) -> tuple[Objects, np.ndarray]:
    """The objects among `labels`, and each label's row (-1 for background)."""
    ids, row = np.unique(labels, return_inverse=True)
    sizes = np.zeros(ids.size, np.int64)
    np.add.at(sizes, row, counts)
    objects = Objects(ids, sizes, np.isin(ids, cut))
    if ids.size and ids[0] == 0:
        return objects.selected(ids != 0), row - 1
    return objects, row
