"""The decoders again, as plainly as numpy and SciPy can say them.

The tests compare the decoders with them. What benchmarks measure against is quicker
(`benchmarks/baselines/plain_decoder.py`).
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import grey_dilation, label


def plain_polarity2instance(
    volume,
    thres=0.5,
    thres_small=128,
    scale_factors=(1.0, 1.0, 1.0),
    semantic=False,
    dilate_sz=5,
    exclusive=False,
):
    """The baseline rule; synapses keep the numbers of their components."""
    if exclusive:
        winner = np.argmax(volume, axis=0)
        pre, post, union = winner == 1, winner == 2, winner > 0
    else:
        pre, post, union = above(volume, thres)
        pre, post = pre & union, post & union
    pre, post = drop_small(pre, thres_small), drop_small(post, thres_small)
    if semantic:
        labels = np.where(post, 2, pre).astype(np.uint8)
    else:
        synapse, _ = label(dilate(union, dilate_sz))
        labels = np.where(post, 2 * synapse, np.where(pre, 2 * synapse - 1, 0))
    return resize(labels, scale_factors)


def plain_binary2instance(volume, thres=0.5, thres_small=128, dilate_sz=0):
    """Components of the dilated mask, cut to the mask, small ones dropped."""
    mask = above(volume, thres).reshape(volume.shape[-3:])
    labels = label(dilate(mask, dilate_sz))[0] * mask
    sizes = np.bincount(labels.ravel())
    return np.where(sizes[labels] >= thres_small, labels, 0)


def above(volume, thres):
    """The mask p > thres on the scale of the dtype."""
    return volume > thres * 255 if volume.dtype == np.uint8 else volume > thres


def drop_small(mask, min_size):
    """Without the 6-connected pieces of fewer than min_size voxels."""
    pieces, _ = label(mask)  # by faces
    keep = np.bincount(pieces.ravel()) >= min_size
    keep[0] = False
    return keep[pieces]


def dilate(mask, size):
    """Each section dilated by a square."""
    return grey_dilation(mask, size=(1, size, size), mode="constant") if size > 1 else mask


def resize(labels, scale_factors):
    """Each new voxel takes the label of the voxel its centre falls into."""
    for axis, factor in enumerate(scale_factors):
        size = int(labels.shape[axis] * factor)
        centres = [int((i + 0.5) * labels.shape[axis] / size) for i in range(size)]
        labels = np.take(labels, centres, axis=axis)
    return labels


def same_synapses(labels, others):
    """Whether two polarity labellings agree up to the order of their synapses."""
    same_sides = np.array_equal(labels == 0, others == 0) and not ((labels ^ others) & 1).any()
    return same_sides and same_instances((labels.astype(np.int64) + 1) // 2, (others + 1) // 2)


def same_instances(labels, others):
    """Whether two labellings agree up to the order of their ids."""
    shown = (labels > 0) | (others > 0)
    pairs = np.unique(np.stack([labels[shown], others[shown]]).astype(np.int64), axis=1)
    return (pairs > 0).all() and all(len(np.unique(ids)) == ids.size for ids in pairs)
