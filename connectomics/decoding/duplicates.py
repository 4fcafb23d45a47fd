"""Duplicates: one synapse found twice has the same partners, in the same order, and place."""

from __future__ import annotations

import numpy as np

from connectomics.decoding.candidates import Candidates
from connectomics.decoding.partners import Partners


def duplicate_pairs(
    centres_nm: np.ndarray, partners: Partners, *, distance_nm: float
) -> np.ndarray:
    """Find the synapses that are the same connection at the same place.

    Args:
        centres_nm: (S, 3) their centres.
        partners: Their neurons; where one is missing a synapse has no duplicate.
        distance_nm: The most that lies between the centres of duplicates.

    Returns:
        (N, 2) pairs a < b.
    """
    from scipy.spatial import KDTree

    known = np.flatnonzero((partners.pre > 0) & (partners.post > 0))
    if len(known) < 2:
        return np.empty((0, 2), np.int64)
    near = KDTree(centres_nm[known]).query_pairs(distance_nm, output_type="ndarray")
    pairs = np.sort(known[near], axis=1)
    a, b = pairs.T
    same = (partners.pre[a] == partners.pre[b]) & (partners.post[a] == partners.post[b])
    return pairs[same]


def centres_nm(candidates: Candidates) -> np.ndarray:
    """(count, 3) mean position of each synapse's labelled voxels; NaN without any."""
    chosen = candidates.labelled
    synapse, points = candidates.synapse[chosen], candidates.points_nm(chosen)
    size = np.bincount(synapse, minlength=candidates.count)
    sums = [np.bincount(synapse, points[:, axis], candidates.count) for axis in range(3)]
    with np.errstate(invalid="ignore"):
        return np.stack(sums, axis=1) / size[:, None]
