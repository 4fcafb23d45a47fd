"""One-to-one matching: as many pairs as possible, and of those matchings the best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from connectomics.errors import DataError
from connectomics.evaluation.contingency import ContingencyTable

_DENSE_ENTRIES = 2**18
_BATCH_NODES = 96


@dataclass(frozen=True, eq=False)
class Matching:
    """Pairs of objects, no object in two of them.

    Attributes:
        truth_index: (m,) rows of the table's truth objects, ascending.
        prediction_index: (m,) rows of its predicted objects.
        iou: (m,) their intersection over union.
    """

    truth_index: np.ndarray
    prediction_index: np.ndarray
    iou: np.ndarray

    def __len__(self) -> int:
        return self.iou.size


def match_objects(table: ContingencyTable, iou_threshold: float) -> Matching:
    """Match objects one-to-one where their IoU is at least `iou_threshold`.

    Above 0.5 no object has two candidates. At 0.5 and below it may: then the matching with
    the most pairs is taken, and among those the one with the largest total IoU. That finds
    as many pairs as `stardist.matching` (Schmidt et al., MICCAI 2018), `>=` included, which
    below 0.5 may choose others of them. Connected components of the overlap graph are solved
    a few at a time, so nothing of the size of all objects squared is ever built.

    Args:
        table: What the two volumes share.
        iou_threshold: The smallest IoU of a match, in (0, 1].

    Raises:
        DataError: The threshold is outside (0, 1].

    >>> from connectomics.evaluation import contingency_table
    >>> table = contingency_table(np.array([1, 1, 1, 1, 2, 2]), np.array([3, 3, 4, 4, 4, 0]))
    >>> found = match_objects(table, 0.25)  # IoU: 1-3 0.5, 1-4 0.4, 2-4 0.25
    >>> found.truth_index.tolist(), found.prediction_index.tolist(), found.iou.tolist()
    ([0, 1], [0, 1], [0.5, 0.25])
    >>> len(match_objects(table, 0.5)), len(match_objects(table, 0.51))
    (1, 0)
    """
    if not 0 < iou_threshold <= 1:
        raise DataError(
            "evaluation: iou_threshold",
            f"{iou_threshold} is outside (0, 1].",
            "IoU is 1 for equal objects and 0 for objects that share nothing.",
        )
    iou = table.iou()
    edges = np.flatnonzero(iou >= iou_threshold)
    chosen = edges[assign(table.truth_index[edges], table.prediction_index[edges], iou[edges])]
    return Matching(table.truth_index[chosen], table.prediction_index[chosen], iou[chosen])


def assign(
    left: np.ndarray, right: np.ndarray, weight: np.ndarray, *, most_pairs: bool = True
) -> np.ndarray:
    """Choose edges of a bipartite graph so that no node is in two of them.

    Args:
        left: (k,) node of each edge on one side, integers from 0.
        right: (k,) its node on the other side. No edge occurs twice.
        weight: (k,) what each edge is worth, in (0, 1].
        most_pairs: Take as many edges as possible and, among such choices, the largest
            total weight; otherwise the largest total weight whatever their number.

    Returns:
        The chosen edges' positions, ordered by left node.

    >>> left, right = np.array([0, 0, 1]), np.array([0, 1, 1])
    >>> assign(left, right, np.array([0.2, 1.0, 0.2])).tolist()
    [0, 2]
    >>> assign(left, right, np.array([0.2, 1.0, 0.2]), most_pairs=False).tolist()
    [1]
    """
    if not left.size:
        return np.empty(0, np.int64)
    alone = (np.bincount(left)[left] == 1) & (np.bincount(right)[right] == 1)
    contested = np.flatnonzero(~alone)
    chosen = [np.flatnonzero(alone)]
    for batch, row, column in _batches(left[contested], right[contested]):
        edges = contested[batch]
        chosen.append(edges[_assign_batch(row, column, weight[edges], most_pairs)])
    positions = np.concatenate(chosen)
    return positions[np.argsort(left[positions], kind="stable")]


def _batches(
    left: np.ndarray, right: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The edges of a few whole connected components at a time, and their nodes from 0.

    Most components have a handful of nodes, and a solver takes longer to call than to solve
    them. Of several at once, what they have no edge for is worth nothing, so each comes out
    as well as it would alone.
    """
    if not left.size:
        return
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    _, left = np.unique(left, return_inverse=True)
    _, right = np.unique(right, return_inverse=True)
    n_left = left.max() + 1
    nodes = n_left + right.max() + 1
    graph = coo_array((np.ones(left.size, bool), (left, right + n_left)), shape=(nodes, nodes))
    component = connected_components(graph, directed=False)[1]
    batch = (np.cumsum(np.bincount(component)) // _BATCH_NODES)[component]
    row, column = _number_within(batch[:n_left])[left], _number_within(batch[n_left:])[right]
    batch = batch[left]
    order = np.argsort(batch, kind="stable")
    for edges in np.split(order, np.flatnonzero(np.diff(batch[order])) + 1):
        yield edges, row[edges], column[edges]


def _number_within(group: np.ndarray) -> np.ndarray:
    """The position of each entry among those of its group.

    >>> _number_within(np.array([4, 7, 4, 4, 7])).tolist()
    [0, 0, 1, 2, 1]
    """
    order = np.argsort(group, kind="stable")
    first = np.searchsorted(group[order], group)
    position = np.empty_like(order)
    position[order] = np.arange(order.size)
    return position - first


def _assign_batch(
    left: np.ndarray, right: np.ndarray, weight: np.ndarray, most_pairs: bool
) -> np.ndarray:
    shape = int(left.max()) + 1, int(right.max()) + 1
    # One more pair must outweigh whatever weight the others lose by it.
    value = weight + (min(shape) + 1 if most_pairs else 0)
    solve = _solve_dense if shape[0] * shape[1] <= _DENSE_ENTRIES else _solve_sparse
    row, column = solve(left, right, value, shape)
    partner = np.full(shape[0], -1)
    partner[row] = column
    return np.flatnonzero(partner[left] == right)


def _solve_dense(
    left: np.ndarray, right: np.ndarray, value: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    from scipy.optimize import linear_sum_assignment

    values = np.zeros(shape)
    values[left, right] = value
    return linear_sum_assignment(values, maximize=True)


def _solve_sparse(
    left: np.ndarray, right: np.ndarray, value: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The same for what is too large for a dense matrix.

    The solver wants every row matched, so each row also gets a column of its own that is
    worth nothing.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    n, m = shape
    worth_nothing = value.max() + 1  # costs must be positive: zeros vanish from sparse arrays
    costs = np.concatenate([worth_nothing - value, np.full(n, worth_nothing)])
    rows = np.concatenate([left, np.arange(n)])
    columns = np.concatenate([right, m + np.arange(n)])
    graph = coo_array((costs, (rows, columns)), shape=(n, m + n)).tocsr()
    return min_weight_full_bipartite_matching(graph)
