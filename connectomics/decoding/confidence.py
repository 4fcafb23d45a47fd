"""Confidence: how sure the decoder is of a synapse, and of which side is which."""

from __future__ import annotations

import numpy as np

from connectomics.decoding.candidates import NONE, POST, PRE, Candidates
from connectomics.decoding.voting import percentile_per_synapse

HALF_NM3 = 0.5e6
"""A side of this volume, with p = 1, has strength 1/2: smaller ones are seldom real."""

ONE_SIDED = 0.45
"""What a side is worth that was found alone: networks mistake half a synapse for one easily."""


def confidence(
    candidates: Candidates, *, one_sided: float = ONE_SIDED, half_nm3: float = HALF_NM3
) -> np.ndarray:
    """How sure it is that each synapse is there, before calibration.

    A synapse is as sure as the weaker of its sides, or `one_sided` times the stronger one where
    that is more. The strength of a side is the product of

    * its size, n / (n + n0) with n voxels, n0 of them in `half_nm3`;
    * its evenness, the mean of p over its 90th percentile: what is mistaken for a side fades
      towards its edges, and an underconfident network is even, too;
    * its level, the square root of the mean of p.

    On networks of this project these three told true from false better than the mean of p.

    Args:
        candidates: Synapses with sides.
        one_sided: Share of its strength that counts for a side that was found alone.
        half_nm3: A side of this volume, with p = 1, has strength 1/2.

    Returns:
        (count,) in [0, 1]; 0 without a voxel.
    """
    sides = ((PRE, candidates.pre), (POST, candidates.post))
    strength = np.stack([_strength(candidates, side, p, half_nm3) for side, p in sides])
    weaker, stronger = strength.min(axis=0), strength.max(axis=0)
    return np.minimum(np.maximum(weaker, one_sided * stronger), 1.0)


def _strength(candidates: Candidates, side: int, p: np.ndarray, half_nm3: float) -> np.ndarray:
    """(count,) the strength of one side, with the probability p of it at each voxel."""
    alone = candidates.give(side=np.where(candidates.side == side, side, NONE))
    chosen = alone.labelled
    synapse = alone.synapse[chosen]
    size = np.bincount(synapse, minlength=alone.count)
    mean = np.bincount(synapse, p[chosen], alone.count) / np.maximum(size, 1)
    high = np.maximum(percentile_per_synapse(alone, p, 90.0), 1e-6)
    evenness = np.minimum(mean / high, 1.0)
    return size / (size + half_nm3 / alone.voxel_nm3) * evenness * np.sqrt(mean)


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
