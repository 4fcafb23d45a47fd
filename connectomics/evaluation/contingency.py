"""One sparse table n_ij = |G_i ∩ P_j|, from which every overlap score follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Key = Callable[[np.ndarray], np.ndarray]
"""From ids to ids, such as from side labels to synapse numbers."""


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
        return ContingencyTable(truth, prediction, *sum_pairs(*pairs, self.counts))

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


def find_rows(ascending: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Where each value stands in `ascending`, -1 where it does not.

    >>> find_rows(np.array([2, 5]), np.array([5, 3])).tolist()
    [1, -1]
    """
    row = np.searchsorted(ascending, values)
    found = row < ascending.size
    found[found] = ascending[row[found]] == values[found]
    return np.where(found, row, -1)


def _merge(objects: Objects, key: Key) -> tuple[Objects, np.ndarray]:
    ids, row = np.unique(key(objects.ids), return_inverse=True)
    sizes = np.zeros(ids.size, np.int64)
    np.add.at(sizes, row, objects.sizes)
    touches = np.zeros(ids.size, bool)
    np.logical_or.at(touches, row, objects.touches_border)
    return Objects(ids, sizes, touches), row


def sum_pairs(
    truth_index: np.ndarray, prediction_index: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Add up pairs that occur more than once; sorted by truth, then prediction."""
    width = prediction_index.max(initial=0) + 1
    codes, row = np.unique(truth_index * width + prediction_index, return_inverse=True)
    total = np.zeros(codes.size, np.int64)
    np.add.at(total, row, counts)
    return codes // width, codes % width, total
