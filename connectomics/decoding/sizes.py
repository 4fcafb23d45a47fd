"""Sizes: how large the synapses of a volume are, and the filters, which come last.

Before that a small part may belong to something larger.
"""

from __future__ import annotations

import numpy as np

from connectomics.decoding.candidates import NONE, PRE, Candidates
from connectomics.decoding.evidence import voxels_of
from connectomics.decoding.merging import number_kept
from connectomics.decoding.voting import vote_sides

TYPICAL_NM3 = 7e6
"""Volume of a side for which the default volumes are meant."""

SMALLEST = 0.02
"""Synapses are not taken to be smaller than this share of `TYPICAL_NM3` a side."""


def size_scale(candidates: Candidates) -> float:
    """How much smaller the synapses of a volume are than those that the defaults are meant for.

    Half of all that lies on paired sides lies on sides of at least the typical size, so a crowd
    of specks hardly changes it.

    Returns:
        The typical volume of a side as a share of `TYPICAL_NM3`, in [`SMALLEST`, 1].
    """
    return scale_of(vote_sides(candidates).side_sizes(), candidates.voxel_nm3)


def scale_of(side_sizes: np.ndarray, voxel_nm3: float) -> float:
    """The same from the (2, S) voxels on the sides that a vote gives them."""
    sizes = np.sort(side_sizes.min(axis=0))
    total = np.cumsum(sizes)
    if not total.size or total[-1] == 0:
        return 1.0
    typical = sizes[np.searchsorted(total, total[-1] / 2)] * voxel_nm3
    return float(np.clip(typical / TYPICAL_NM3, SMALLEST, 1.0))


def drop_small_sides(candidates: Candidates, min_side_nm3: float) -> Candidates:
    """Take the side from all voxels of a side smaller than this; the synapse is one-sided then."""
    small = candidates.side_sizes() < voxels_of(min_side_nm3, candidates.resolution)
    lost = np.append(small, np.zeros((2, 1), bool), axis=1)
    gone = candidates.labelled & lost[np.where(candidates.side == PRE, 0, 1), candidates.synapse]
    return candidates.give(side=np.where(gone, NONE, candidates.side))


def drop_small_synapses(candidates: Candidates, min_synapse_nm3: float) -> Candidates:
    """Drop synapses smaller than this, both sides together, and those without a voxel."""
    least = max(1, voxels_of(min_synapse_nm3, candidates.resolution))
    kept = candidates.side_sizes().sum(axis=0) >= least
    return candidates.renumber(number_kept(kept))
