"""Crowds of small synapses, whole and in pieces, for decoding by block."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

SMALL = {
    "core_nm3": 8e3,
    "part_nm3": 8e3,
    "min_side_nm3": 4e3,
    "min_synapse_nm3": 8e3,
    "split_sigma_nm": 12.0,
    "split_radius_nm": 20.0,
    "pair_evidence": 0.02,
}
"""Settings of `synapses` for synapses of some ten voxels."""


def crowd(seed, shape, *, synapses=20, lost=0.1):
    """(3, Z, Y, X) float64: slabs of pre and post, sides alone, strays, damaged sections, noise."""
    rng = np.random.default_rng(seed)
    volume = np.zeros((3, *shape))
    for _ in range(synapses):
        depth, height, width = (int(n) for n in rng.integers((1, 2, 3), (5, 5, 12)))
        z, y, x = (int(rng.integers(-1, n)) for n in shape)
        kind, p = rng.choice(["both", "pre", "post"], p=[0.7, 0.15, 0.15]), rng.uniform(0.3, 1.0)
        gap = int(rng.choice([0, 0, 2, 3]))  # what lies between its sides
        starts = rng.permutation([y, y + height + gap])
        for channel, (side, row) in enumerate(zip(("pre", "post"), starts, strict=True)):
            if kind in ("both", side):
                begin = [max(n, 0) for n in (z, row, x)]
                end = (z + depth, row + height, x + width)
                box = tuple(slice(a, max(b, a)) for a, b in zip(begin, end, strict=True))
                volume[(channel, *box)] = p
                volume[(2, *box)] = np.maximum(volume[(2, *box)], p)
    volume = gaussian_filter(volume, (0, 0, 0.4, 0.4))
    volume[:, rng.random(shape[0]) < lost] *= 0.2
    volume += rng.normal(0, 0.03, volume.shape)
    return np.clip(volume, 0, 1)


def classes(volume):
    """The same as background, pre and post, which exclude each other."""
    pre, post, _ = volume
    total = np.maximum(pre + post, 1)
    pre, post = pre / total, post / total
    return np.stack([1 - (pre + post), pre, post])


def neurons(seed, shape):
    """Ids of few neurons in lumps; 0 is none."""
    noise = gaussian_filter(np.random.default_rng(seed).random(shape), (1, 4, 4))
    edges = np.quantile(noise, [0.1, 0.4, 0.7])
    return np.digitize(noise, edges).astype(np.uint32)
