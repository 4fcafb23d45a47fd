"""Small synapses drawn by hand, and lists of voxels made from arrays."""

from __future__ import annotations

import numpy as np

from connectomics.decoding.candidates import Candidates
from connectomics.geometry import VoxelGrid

NM = (30.0, 8.0, 8.0)


def listed(synapse, side=None, *, pre=None, post=None, union=None, inside=None, resolution=NM):
    """The voxels where `synapse` (Z, Y, X) is not -1, with whatever else is given of them."""
    synapse = np.asarray(synapse)
    index = np.flatnonzero(synapse >= 0)

    def taken(values, default, dtype):
        if values is None:
            return np.full(index.size, default, dtype)
        return np.asarray(values).ravel()[index].astype(dtype)

    return Candidates(
        shape=synapse.shape,
        grid=VoxelGrid(resolution),
        index=index,
        pre=taken(pre, 0.5, np.float32),
        post=taken(post, 0.5, np.float32),
        union=taken(union, 0.9, np.float32),
        inside=taken(inside, True, bool),
        synapse=synapse.ravel()[index].astype(np.int32),
        side=taken(side, 0, np.int8),
    )


def spread(candidates, values, background=-1):
    """Values of listed voxels as an array (Z, Y, X)."""
    volume = np.full(candidates.shape, background, np.int64)
    volume.reshape(-1)[candidates.index] = values
    return volume


def listed_labels(labels, resolution=NM):
    """The voxels of polarity labels, synapse n being n - 1."""
    labels = np.asarray(labels).astype(np.int64)
    return listed(
        (labels + 1) // 2 - 1, np.where(labels > 0, 2 - labels % 2, 0), resolution=resolution
    )


def empty(shape):
    """Probabilities (3, Z, Y, X) that are low everywhere."""
    return np.full((3, *shape), 0.02, np.float32)


def draw(volume, z, y, x, *, p=0.95):
    """Draw a synapse into (3, Z, Y, X): pre in the first half of the rows `y`, post in the rest.

    `z`, `y` and `x` are (start, stop).
    """
    middle = (y[0] + y[1]) // 2
    columns = slice(*x)
    for channel, rows in ((0, slice(y[0], middle)), (1, slice(middle, y[1])), (2, slice(*y))):
        volume[channel, slice(*z), rows, columns] = p
    other = ((1, slice(y[0], middle)), (0, slice(middle, y[1])))
    for channel, rows in other:
        volume[channel, slice(*z), rows, columns] = 0.02
    return volume
