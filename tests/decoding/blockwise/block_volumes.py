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
}
"""Settings of `synapses` for synapses of some ten voxels."""


def crowd(seed, shape, *, synapses=25, lost=0.1):
    """(3, Z, Y, X) float64: slabs of pre and post, sides alone, strays, damaged sections, noise."""
    rng = np.random.default_rng(seed)
    volume = np.zeros((3, *shape))
    for _ in range(synapses):
        extent = rng.integers((1, 3, 3), (5, 9, 12))
        begin = [int(rng.integers(-1, n)) for n in shape]
        z, y, x = (slice(max(b, 0), b + int(e)) for b, e in zip(begin, extent, strict=True))
        middle = max(begin[1], 0) + int(extent[1]) // 2
        p, order = rng.uniform(0.3, 1.0), rng.permutation(2)
        sides = rng.choice([0, 1, 2], p=[0.7, 0.15, 0.15])
        for channel, rows in zip(
            order, (slice(y.start, middle), slice(middle, y.stop)), strict=True
        ):
            if sides in (0, channel + 1):
                volume[channel, z, rows, x] = p
                volume[2, z, rows, x] = np.maximum(volume[2, z, rows, x], p)
    volume = gaussian_filter(volume, (0, 0, 0.6, 0.6))
    volume[:, rng.random(shape[0]) < lost] *= 0.2
    volume += rng.normal(0, 0.04, volume.shape)
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
