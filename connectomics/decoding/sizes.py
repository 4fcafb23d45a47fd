"""Size filters, which come last: before that a small part may belong to something larger."""

from __future__ import annotations

import numpy as np

from connectomics.decoding.candidates import NONE, PRE, Candidates
from connectomics.decoding.evidence import voxels_of
from connectomics.decoding.merging import number_kept


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
