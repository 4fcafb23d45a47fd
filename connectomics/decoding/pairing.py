"""Pairing orphans: a pre side and a post side that were found apart become one synapse."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from connectomics.decoding.candidates import Candidates
from connectomics.decoding.merging import join_pairs

TOKEN = 0.1
"""A side with less than this share of the other's voxels does not make a synapse two-sided."""

Between = Callable[[np.ndarray, np.ndarray], float]


def pair_orphans(
    candidates: Candidates, between: Between, *, gap_nm: float, evidence: float
) -> Candidates:
    """Join one-sided synapses, a pre with a post, nearest first.

    Args:
        candidates: Synapses with sides.
        between: Gives the mean probability of a synapse between two voxels (z, y, x).
        gap_nm: The most that may lie between their nearest voxels.
        evidence: Mean probability that the line between those voxels needs.

    Returns:
        The same voxels; what found no partner stays one-sided.
    """
    pre, post = orphans(candidates)
    if len(pre) == 0 or len(post) == 0:
        return candidates
    found = sorted(_near_pairs(candidates, pre, post, gap_nm), key=lambda pair: pair[0])
    taken: set[int] = set()
    pairs = []
    for _, a, b, begin, end in found:
        if a in taken or b in taken or between(begin, end) < evidence:
            continue
        taken |= {a, b}
        pairs.append((a, b))
    return join_pairs(candidates, np.array(pairs, np.int64).reshape(-1, 2))


def orphans(candidates: Candidates) -> tuple[np.ndarray, np.ndarray]:
    """The synapses with a pre side only, and those with a post side only."""
    pre, post = candidates.side_sizes()
    return (
        np.flatnonzero((pre > 0) & (post < TOKEN * pre)),
        np.flatnonzero((post > 0) & (pre < TOKEN * post)),
    )


def _near_pairs(
    candidates: Candidates, pre: np.ndarray, post: np.ndarray, gap_nm: float
) -> list[tuple[float, int, int, np.ndarray, np.ndarray]]:
    """(distance in nm, pre orphan, post orphan, their nearest voxels) within the gap."""
    from scipy.spatial import KDTree

    wanted = np.zeros(candidates.count + 1, bool)
    wanted[np.concatenate([pre, post])] = True
    places = np.flatnonzero(candidates.labelled & wanted[candidates.synapse])
    places = places[np.argsort(candidates.synapse[places], kind="stable")]
    owner = candidates.synapse[places]
    points = candidates.points_nm(places)
    spans = {
        int(s): slice(*np.searchsorted(owner, [s, s + 1])) for s in np.concatenate([pre, post])
    }
    low = np.array([points[spans[int(s)]].min(axis=0) for s in post])
    high = np.array([points[spans[int(s)]].max(axis=0) for s in post])
    reach = gap_nm + float(np.linalg.norm(candidates.resolution))
    pairs = []
    for a in pre:
        mine = points[spans[int(a)]]
        apart = np.maximum(low - mine.max(axis=0), mine.min(axis=0) - high).max(axis=1)
        near = post[apart <= reach]
        if len(near) == 0:
            continue
        tree = KDTree(mine)
        for b in near:
            distance, which = tree.query(points[spans[int(b)]])
            k = int(distance.argmin())
            begin, end = candidates.coordinates(
                np.array([places[spans[int(a)]][np.asarray(which)[k]], places[spans[int(b)]][k]])
            )
            if _gap(begin, end, candidates.resolution) <= gap_nm:
                pairs.append((float(distance[k]), int(a), int(b), begin, end))
    return pairs


def _gap(begin: np.ndarray, end: np.ndarray, resolution: tuple[float, float, float]) -> float:
    """Distance in nm between two voxels, from surface to surface along each axis."""
    free = np.maximum(np.abs(end - begin) - 1, 0) * np.asarray(resolution)
    return float(np.linalg.norm(free))
