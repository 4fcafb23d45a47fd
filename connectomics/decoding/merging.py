"""Joining synapses that turn out to be one, and numbering what is left."""

from __future__ import annotations

import numpy as np

from connectomics.decoding.candidates import Candidates


def join_pairs(candidates: Candidates, pairs: np.ndarray) -> Candidates:
    """Make one synapse of each group of synapses that pairs connect.

    Args:
        candidates: Synapses.
        pairs: (N, 2) synapses that are the same.

    Returns:
        The same voxels; the rest of the synapses keep their order.
    """
    if len(pairs) == 0:
        return candidates
    return candidates.renumber(number_connected(candidates.count, pairs))


def number_connected(count: int, pairs: np.ndarray) -> np.ndarray:
    """Number the groups of 0 ... count - 1 that pairs connect, in the order in which they come.

    Args:
        count: How many there are.
        pairs: (N, 2).

    Returns:
        (count,) the group of each, from 0.

    >>> number_connected(5, np.array([[3, 1], [4, 3]])).tolist()
    [0, 1, 2, 1, 1]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = (np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1]))
    return connected_components(coo_array(links, shape=(count, count)), directed=False)[1]


def number_groups(key: np.ndarray) -> np.ndarray:
    """Number equal keys from 0 in the order in which they first come; negative keys stay -1.

    Args:
        key: (V,) int.

    >>> number_groups(np.array([7, -1, 3, 7, 3, 9])).tolist()
    [0, -1, 1, 0, 1, 2]
    """
    taken = np.flatnonzero(key >= 0)
    number = np.full(key.size, -1, np.int64)
    _, first, group = np.unique(key[taken], return_index=True, return_inverse=True)
    number[taken] = np.argsort(np.argsort(first))[group]
    return number


def number_kept(kept: np.ndarray) -> np.ndarray:
    """Numbers 0, 1, ... for what is kept, -1 for the rest.

    >>> number_kept(np.array([True, False, True])).tolist()
    [0, -1, 1]
    """
    return np.where(kept, np.cumsum(kept) - 1, -1)
