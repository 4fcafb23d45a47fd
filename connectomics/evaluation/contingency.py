"""One sparse table n_ij = |G_i ∩ P_j|, from which every overlap score follows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from connectomics.errors import DataError
from connectomics.evaluation.volumes import Labels, PairBlock, compare_blocks, unsigned
from connectomics.process.cpus import available_cpus

Key = Callable[[np.ndarray], np.ndarray]
"""From ids to ids, such as from side labels to synapse numbers."""

_SLAB_VOXELS = 4 * 2**20
_LOOSE_ROWS = 2**16

_CREMI_MARKS = 2
"""How many of the largest numbers are marks in CREMI's labels: background is the largest."""


@dataclass(frozen=True, eq=False)
class Objects:
    """The objects of one label volume.

    Attributes:
        ids: (n,) uint64, ascending, without background.
        sizes: (n,) int64, labelled voxels.
        touches_border: (n,) bool, cut by a face of the volume or by unlabelled voxels: it
            reaches one of them, or into them. An axis of length 1 has no faces.
    """

    ids: np.ndarray
    sizes: np.ndarray
    touches_border: np.ndarray

    def __len__(self) -> int:
        return self.ids.size

    def sizes_of(self, ids: np.ndarray) -> np.ndarray:
        """The size of each of `ids`, 0 where there is no such object."""
        row = find_rows(self.ids, ids)
        return np.where(row >= 0, np.append(self.sizes, 0)[row], 0)

    def selected(self, kept: np.ndarray) -> Objects:
        """The objects where `kept` (n,) bool is true."""
        return Objects(self.ids[kept], self.sizes[kept], self.touches_border[kept])


@dataclass(frozen=True, eq=False)
class ContingencyTable:
    """Which objects of two label volumes share voxels, and how many.

    Attributes:
        truth: n objects of the first volume.
        prediction: m objects of the second.
        truth_index: (k,) row of `truth` for each overlapping pair.
        prediction_index: (k,) row of `prediction` for each overlapping pair.
        counts: (k,) int64, shared voxels, all > 0.
    """

    truth: Objects
    prediction: Objects
    truth_index: np.ndarray
    prediction_index: np.ndarray
    counts: np.ndarray

    def iou(self) -> np.ndarray:
        """Intersection over union of each overlapping pair, (k,) in (0, 1]."""
        sizes = self.truth.sizes[self.truth_index] + self.prediction.sizes[self.prediction_index]
        return self.counts / (sizes - self.counts)

    def shared(self, truth_ids: np.ndarray, prediction_ids: np.ndarray) -> np.ndarray:
        """The voxels shared by each pair of ids, 0 where there is no such object."""
        first = find_rows(self.truth.ids, truth_ids)
        second = find_rows(self.prediction.ids, prediction_ids)
        width = len(self.prediction) + 1
        row = find_rows(self.truth_index * width + self.prediction_index, first * width + second)
        found = (first >= 0) & (second >= 0) & (row >= 0)
        return np.where(found, np.append(self.counts, 0)[row], 0)

    def merged(self, truth_key: Key, prediction_key: Key) -> ContingencyTable:
        """The table of coarser objects: ids with the same key become one, of that id."""
        truth, new_truth = _merge(self.truth, truth_key)
        prediction, new_prediction = _merge(self.prediction, prediction_key)
        pairs = new_truth[self.truth_index], new_prediction[self.prediction_index]
        return ContingencyTable(truth, prediction, *_sum_pairs(*pairs, self.counts))

    def selected(self, keep: Key) -> ContingencyTable:
        """The table of the objects with `keep(ids)` true, on both sides."""
        kept_truth, kept_prediction = keep(self.truth.ids), keep(self.prediction.ids)
        kept = kept_truth[self.truth_index] & kept_prediction[self.prediction_index]
        return ContingencyTable(
            self.truth.selected(kept_truth),
            self.prediction.selected(kept_prediction),
            (np.cumsum(kept_truth) - 1)[self.truth_index[kept]],
            (np.cumsum(kept_prediction) - 1)[self.prediction_index[kept]],
            self.counts[kept],
        )


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
    blocks = compare_blocks(truth, prediction, mask)
    return add_up(count_block(block, threads=threads) for block in blocks).table()


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
        return ContingencyTable(first, second, *_sum_pairs(*pairs, counts[shared]))


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


def find_rows(ascending: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Where each value stands in `ascending`, -1 where it does not.

    >>> find_rows(np.array([2, 5]), np.array([5, 3])).tolist()
    [1, -1]
    """
    row = np.searchsorted(ascending, values)
    found = row < ascending.size
    found[found] = ascending[row[found]] == values[found]
    return np.where(found, row, -1)


def check_labels(name: str, labels: np.ndarray, mask: np.ndarray | None = None) -> None:
    """Refuse labels that are not whole numbers from 0, and marks that are no objects.

    Args:
        name: "truth" or "prediction", for messages.
        labels: Of any shape.
        mask: Same shape; marks are of no matter where it is 0.

    Raises:
        DataError: Float or negative labels, or CREMI's marks.
    """
    if labels.dtype.kind not in "biu":
        raise DataError(
            f"evaluation: {name}",
            f"its dtype is {labels.dtype}; labels are whole numbers.",
            "Decode probabilities into labels first, or store the labels as integers.",
        )
    if labels.dtype.kind == "i" and labels.min(initial=0) < 0:
        raise DataError(
            f"evaluation: {name}",
            f"it holds negative labels (smallest {labels.min()}).",
            "Background is 0 and objects are positive; mark voxels to leave out in a mask.",
        )
    bits = 8 * labels.dtype.itemsize
    lowest = 2**bits - _CREMI_MARKS
    if labels.dtype.kind == "u" and bits >= 32 and labels.max(initial=0) >= lowest:
        marked = labels >= lowest
        if np.any(marked if mask is None else marked & (mask != 0)):
            raise DataError(
                f"evaluation: {name}",
                f"it holds CREMI's marks, 2**{bits} - 1 (background) or 2**{bits} - 2 (invalid).",
                "Set the first to 0 and leave the second out by the mask. With the first, 0 is an "
                "object: connectomics.data.processing.clean_label knows both.",
            )


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


def _merge(objects: Objects, key: Key) -> tuple[Objects, np.ndarray]:
    ids, row = np.unique(key(objects.ids), return_inverse=True)
    sizes = np.zeros(ids.size, np.int64)
    np.add.at(sizes, row, objects.sizes)
    touches = np.zeros(ids.size, bool)
    np.logical_or.at(touches, row, objects.touches_border)
    return Objects(ids, sizes, touches), row


def _sum_pairs(
    truth_index: np.ndarray, prediction_index: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Add up pairs that occur more than once; sorted by truth, then prediction."""
    width = prediction_index.max(initial=0) + 1
    codes, row = np.unique(truth_index * width + prediction_index, return_inverse=True)
    total = np.zeros(codes.size, np.int64)
    np.add.at(total, row, counts)
    return codes // width, codes % width, total
