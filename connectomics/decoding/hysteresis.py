"""Hysteresis: weak voxels count where they hang together with strong ones (Canny 1986)."""

from __future__ import annotations

import numpy as np

from connectomics.decoding.candidates import Candidates
from connectomics.decoding.evidence import voxels_of
from connectomics.decoding.merging import number_kept


def keep_strong(candidates: Candidates, *, high: float, core_nm3: float) -> Candidates:
    """Drop the components that hold too little of a strong union.

    Args:
        candidates: Components of the union above the low threshold.
        high: Probability of the union that is strong.
        core_nm3: Volume of voxels with p > `high` that a component needs; at least one voxel.

    Returns:
        The components that survive, renumbered in the same order.
    """
    strong = (candidates.union > high) & candidates.inside & (candidates.synapse >= 0)
    core = np.bincount(candidates.synapse[strong], minlength=candidates.count)
    least = max(1, voxels_of(core_nm3, candidates.resolution))
    return candidates.renumber(number_kept(core >= least))
