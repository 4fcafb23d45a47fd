"""Compiled loops that measure synapses: how many voxels, where their middle, which voxel is there.

All take a list of voxels as `kernels.voxels` has it, with the synapse (or -1) and the side (0 for
none, 1, 2) of each; a voxel without either does not count.
"""

from __future__ import annotations

import numpy as np

from connectomics.compiling import compiled


@compiled
def measure(index, synapse, side, shape, sums, at_border):
    """Add up, by synapse and side, the voxels and their z, y and x; note who is at the border.

    Args:
        index: (V,) flat indices.
        synapse: (V,).
        side: (V,).
        shape: (Z, Y, X) of the volume.
        sums: (S, 2, 4) int64, all 0.
        at_border: (S,) bool, all False: has the synapse a voxel on the border of the volume?
    """
    depth, height, width = shape
    for v in range(index.size):
        s, k = synapse[v], side[v] - 1
        if s < 0 or k < 0:
            continue
        row, x = index[v] // width, index[v] % width
        z, y = row // height, row % height
        sums[s, k, 0] += 1
        sums[s, k, 1] += z
        sums[s, k, 2] += y
        sums[s, k, 3] += x
        inner = 0 < z < depth - 1 and 0 < y < height - 1 and 0 < x < width - 1
        at_border[s] |= not inner


@compiled
def find_nearest(index, synapse, side, shape, nm, centroids, nearest):
    """Write the voxel of each object that lies nearest to its centroid, of equals the first.

    Args:
        index: (V,) flat indices.
        synapse: (V,).
        side: (V,).
        shape: (Z, Y, X) of the volume.
        nm: nm per voxel (z, y, x).
        centroids: (S, 3, 3) z, y, x in voxels of the pre side, the post side, and both together.
        nearest: (S, 3) int64, all -1: the flat index of the voxel.
    """
    _, height, width = shape
    least = np.full(nearest.shape, np.inf)
    for v in range(index.size):
        s = synapse[v]
        if s < 0 or side[v] < 1:
            continue
        row, x = index[v] // width, index[v] % width
        z, y = row // height, row % height
        for k in (side[v] - 1, 2):
            middle = centroids[s, k]
            away = ((z - middle[0]) * nm[0]) ** 2 + ((y - middle[1]) * nm[1]) ** 2
            away += ((x - middle[2]) * nm[2]) ** 2
            if away < least[s, k]:
                least[s, k] = away
                nearest[s, k] = index[v]
