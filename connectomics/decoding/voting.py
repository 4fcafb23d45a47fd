"""Voting: within a synapse each voxel goes to the side with more evidence; strays do not count."""

from __future__ import annotations

import numpy as np

from connectomics.decoding import kernels
from connectomics.decoding.candidates import NONE, POST, PRE, Candidates, pieces_of


def vote_sides(candidates: Candidates) -> Candidates:
    """Give each voxel of a synapse that lies inside the union to the likelier side.

    Post wins a tie, as in the baseline. Where nothing has a side yet there is nothing to vote on.
    """
    side = np.where(candidates.pre > candidates.post, PRE, POST)
    has_side = np.append(candidates.side_sizes().sum(axis=0) > 0, False)
    taken = candidates.inside & has_side[candidates.synapse]
    return candidates.give(side=np.where(taken, side, NONE))


def trim_to_peak(candidates: Candidates, *, share: float) -> Candidates:
    """Take the side from voxels whose union is weak for their synapse.

    Args:
        candidates: Synapses with sides.
        share: A voxel needs this share of the union's strength in its synapse, which is the
            95th percentile of its labelled voxels.
    """
    level = share * percentile_per_synapse(candidates, candidates.union, 95.0)
    weak = candidates.union <= np.append(level, np.inf)[candidates.synapse]
    return candidates.give(side=np.where(weak, NONE, candidates.side))


def percentile_per_synapse(
    candidates: Candidates, values: np.ndarray, percentile: float
) -> np.ndarray:
    """(count,) the percentile of the values of each synapse's labelled voxels; 0 without any."""
    chosen = np.flatnonzero(candidates.labelled)
    order = chosen[np.lexsort((values[chosen], candidates.synapse[chosen]))]
    size = np.bincount(candidates.synapse[order], minlength=candidates.count)
    place = np.cumsum(size) - size + np.floor(percentile / 100 * (size - 1)).astype(np.int64)
    return np.where(size > 0, np.append(values[order], 0)[place * (size > 0)], 0)


def settle_strays(candidates: Candidates, *, share: float) -> Candidates:
    """Take their vote from small pieces that hang apart from the rest of their side.

    A stray that touches the other side of its synapse is given to that side; one that touches
    nothing loses its side.

    Args:
        candidates: Synapses with sides.
        share: A 6-connected piece smaller than this share of the largest piece of its side
            is a stray.
    """
    key = np.where(candidates.labelled, 2 * candidates.synapse + candidates.side - PRE, -1)
    piece, count = pieces_of(candidates, key.astype(np.int32))
    size = np.bincount(piece[piece >= 0], minlength=count)
    owner = np.zeros(count, np.int64)
    owner[piece[piece >= 0]] = key[piece >= 0]
    largest = np.zeros(2 * candidates.count, np.int64)
    np.maximum.at(largest, owner, size)
    stray = size < share * largest[owner]
    touches = np.zeros(count, bool)
    touching = _beside_other_side(candidates)
    touches[piece[touching & (piece >= 0)]] = True

    is_stray = np.append(stray, False)[piece]
    flips = np.append(stray & touches, False)[piece]
    side = np.where(flips, PRE + POST - candidates.side, candidates.side)
    return candidates.give(side=np.where(is_stray & ~flips, NONE, side))


def _beside_other_side(candidates: Candidates) -> np.ndarray:
    """(V,) bool, whether a voxel touches the other side of its synapse."""
    found = np.empty(candidates.index.size, bool)
    kernels.voxels.near_other(
        candidates.synapse, candidates.side, candidates.links, (1, 1, 1), found
    )
    return found
