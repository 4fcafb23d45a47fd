"""Confidence: how sure the decoder is of a synapse, and of which side is which."""

from __future__ import annotations

import numpy as np

from connectomics.decoding.candidates import POST, PRE, Candidates

HALF_NM3 = 0.25e6
"""A side of this volume, with p = 1, has strength 1/2: smaller ones are hardly ever real."""

ONE_SIDED = 0.5
"""The most confidence a synapse can have of which only one side was found."""


def confidence(candidates: Candidates) -> np.ndarray:
    """How sure it is that each synapse is there, before calibration.

    The strength of a side is its mean probability, shrunk for small sides: sum(p) / (n + n0)
    with n voxels, n0 of them in `HALF_NM3`. The confidence is the geometric mean of both
    strengths, or half of the stronger one where that is more.

    Returns:
        (count,) in [0, 1]; 0 without a voxel.
    """
    shrink = HALF_NM3 / candidates.voxel_nm3
    strength = np.zeros((2, candidates.count))
    for row, (side, p) in enumerate(((PRE, candidates.pre), (POST, candidates.post))):
        chosen = candidates.labelled & (candidates.side == side)
        synapse = candidates.synapse[chosen]
        size = np.bincount(synapse, minlength=candidates.count)
        strength[row] = np.bincount(synapse, p[chosen], candidates.count) / (size + shrink)
    both = np.sqrt(strength[0] * strength[1])
    return np.minimum(np.maximum(both, ONE_SIDED * strength.max(axis=0)), 1.0)


def polarity_margin(candidates: Candidates) -> np.ndarray:
    """Mean lead of each voxel's side over the other side.

    Returns:
        (count,) in [-1, 1]: 1 where every voxel is sure of its side, 0 where both sides are as
        likely, negative where the evidence is for the opposite direction. 0 without a voxel.
    """
    chosen = candidates.labelled
    synapse = candidates.synapse[chosen]
    lead = np.where(candidates.side == PRE, 1, -1) * (candidates.pre - candidates.post)
    size = np.bincount(synapse, minlength=candidates.count)
    return np.bincount(synapse, lead[chosen], candidates.count) / np.maximum(size, 1)
