"""Partners: the neurons that a synapse connects, by the evidence that lies in each."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from connectomics.decoding import kernels
from connectomics.decoding.candidates import POST, PRE, Candidates

if TYPE_CHECKING:
    import pandas as pd


class Partners(NamedTuple):
    """The neurons of S synapses; 0 is none.

    Attributes:
        pre: (S,) uint64 neuron of the pre side.
        post: (S,) uint64 neuron of the post side.
        pre_margin: (S,) lead of that neuron over the second, as a share of all evidence on the
            side that lies in any neuron; 0 without a neuron.
        post_margin: (S,) the same for the post side.
    """

    pre: np.ndarray
    post: np.ndarray
    pre_margin: np.ndarray
    post_margin: np.ndarray

    @property
    def autapse(self) -> np.ndarray:
        """(S,) bool, whether both sides lie in one neuron: a true autapse, or a merge error."""
        return (self.pre == self.post) & (self.pre > 0)


def name_partners(
    candidates: Candidates, neuron: np.ndarray, *, cleft_nm: float, band_nm: float
) -> Partners:
    """Find the neuron in which the evidence for each side of each synapse lies.

    Only voxels of a side count that lie at least `cleft_nm` from the other side, where the
    border between neurons is uncertain, and at most `band_nm` beyond that. A side that has no
    such voxel is judged by all of its voxels.

    Args:
        candidates: Synapses with sides.
        neuron: (V,) uint64 neuron at each voxel; 0 is none and does not vote.
        cleft_nm: Distance from the other side, along an axis, that is left out.
        band_nm: Thickness of the band that votes.
    """
    in_cleft = near_other_side(candidates, cleft_nm)
    in_band = ~in_cleft & near_other_side(candidates, cleft_nm + band_nm)
    pre, pre_margin = _elect(candidates, neuron, PRE, candidates.pre, in_band)
    post, post_margin = _elect(candidates, neuron, POST, candidates.post, in_band)
    return Partners(pre, post, pre_margin, post_margin)


def partner_table(partners: Partners, ids: np.ndarray) -> pd.DataFrame:
    """Lay out partners as a table.

    Args:
        partners: Of S synapses.
        ids: (S,) what the synapses are called.

    Returns:
        synapse_id, pre_neuron, pre_margin, post_neuron, post_margin, autapse; one row each.
    """
    import pandas as pd

    return pd.DataFrame(
        {
            "synapse_id": ids.astype(np.int64),
            "pre_neuron": partners.pre,
            "pre_margin": partners.pre_margin,
            "post_neuron": partners.post,
            "post_margin": partners.post_margin,
            "autapse": partners.autapse,
        }
    )


def near_other_side(candidates: Candidates, distance_nm: float) -> np.ndarray:
    """(V,) bool, whether the other side of the synapse lies within a distance along an axis."""
    reach = tuple(int(distance_nm / size + 1e-6) for size in candidates.resolution)
    found = np.empty(candidates.index.size, bool)
    side = np.where(candidates.labelled, candidates.side, 0).astype(np.int8)
    kernels.voxels.near_other(candidates.synapse, side, candidates.links, reach, found)
    return found


def _elect(
    candidates: Candidates, neuron: np.ndarray, side: int, p: np.ndarray, in_band: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The neuron with the most evidence for a side of each synapse, and its margin."""
    import pandas as pd

    on_side = candidates.labelled & (candidates.side == side) & (neuron > 0)
    banded = np.zeros(candidates.count, bool)
    banded[candidates.synapse[on_side & in_band]] = True
    votes = on_side & (in_band | ~np.append(banded, True)[candidates.synapse])
    # As np.unique with its inverse, by hashing: there are millions of votes for few neurons.
    number, ids = pd.factorize(neuron[votes], sort=True)
    key = candidates.synapse[votes].astype(np.int64) * max(len(ids), 1) + number
    place, ballots = pd.factorize(key, sort=True)
    # The small term lets voxels without evidence decide where there is nothing else.
    weight = np.bincount(place, p[votes] + 1e-6)
    synapse, which = np.divmod(ballots, max(len(ids), 1))
    order = np.lexsort((which, -weight, synapse))
    synapse, which, weight = synapse[order], which[order], weight[order]
    first = np.flatnonzero(np.diff(synapse, prepend=-1))
    winner = np.zeros(candidates.count, np.uint64)
    winner[synapse[first]] = ids[which[first]]
    total = np.bincount(synapse, weight, candidates.count)[synapse[first]]
    follows = np.append(synapse[1:] == synapse[:-1], False)[first] if len(first) else first
    second = np.where(follows, np.append(weight[1:], 0)[first], 0) if len(first) else 0
    margin = np.zeros(candidates.count)
    margin[synapse[first]] = (weight[first] - second) / total
    return winner, margin
