"""The published decoder as one would write it for speed: numpy, and cc3d for components.

Of the ways to do a step with numpy, SciPy and cc3d on whole volumes these were the fastest on
64 x 1024 x 1024 voxels: cc3d labels twice as fast as SciPy, and a dilation by shifted copies takes
a quarter of the time of SciPy's.
"""

from __future__ import annotations

import cc3d
import numpy as np


def polarity2instance(
    volume: np.ndarray,
    *,
    thres: float = 0.5,
    thres_small: int = 128,
    dilate_sz: int = 5,
    exclusive: bool = False,
    semantic: bool = False,
) -> np.ndarray:
    """Decode (3, Z, Y, X) probabilities; synapses keep the numbers of their components."""
    if exclusive:
        winner = np.argmax(volume, axis=0)
        pre, post, union = winner == 1, winner == 2, winner > 0
    else:
        pre, post, union = volume > (thres * 255 if volume.dtype == np.uint8 else thres)
        pre &= union
        post &= union
    pre, post = _without_small(pre, thres_small), _without_small(post, thres_small)
    if semantic:
        return np.where(post, 2, pre).astype(np.uint8)
    synapse = _components(_dilated(union, dilate_sz)).astype(np.uint32)
    labels = np.zeros_like(synapse)
    labels[pre] = 2 * synapse[pre] - 1
    labels[post] = 2 * synapse[post]
    return labels


def _components(mask: np.ndarray) -> np.ndarray:
    return cc3d.connected_components(mask, connectivity=6)


def _without_small(mask: np.ndarray, least: int) -> np.ndarray:
    pieces = _components(mask)
    keep = np.bincount(pieces.ravel()) >= least
    keep[0] = False
    return keep[pieces]


def _dilated(mask: np.ndarray, size: int) -> np.ndarray:
    """Each section dilated by a square of an odd size, an axis at a time."""
    for axis in (1, 2):
        grown, moved = mask.copy(), np.moveaxis(mask, axis, -1)
        to = np.moveaxis(grown, axis, -1)
        for step in range(1, size // 2 + 1):
            to[..., step:] |= moved[..., :-step]
            to[..., :-step] |= moved[..., step:]
        mask = grown
    return mask
