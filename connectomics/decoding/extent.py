"""How large synapses are, where they lie, and whether the volume's border cuts them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from connectomics.decoding import kernels
from connectomics.decoding.candidates import Candidates


class Extent(NamedTuple):
    """How large S synapses are, and where they lie.

    Attributes:
        voxels: (S, 2) on the pre and on the post side.
        points: (S, 3, 3) the voxel (z, y, x) nearest the centroid of the pre side, of the post
            side and of both; of equals the first in the list, NaN where there is none.
        at_border: (S,) bool, whether a voxel lies on the border of the volume.
    """

    voxels: np.ndarray
    points: np.ndarray
    at_border: np.ndarray


def measure_extent(candidates: Candidates) -> Extent:
    """Measure synapses by their labelled voxels."""
    listed = candidates.index, candidates.synapse, candidates.side, candidates.shape
    sums, at_border = np.zeros((candidates.count, 2, 4), np.int64), np.zeros(candidates.count, bool)
    kernels.centres.measure(*listed, sums, at_border)
    totals = np.concatenate([sums, sums.sum(axis=1, keepdims=True)], axis=1)
    voxels = totals[..., :1]
    centroids = totals[..., 1:] / np.maximum(voxels, 1)
    nearest = np.full((candidates.count, 3), -1)
    kernels.centres.find_nearest(
        *listed, np.asarray(candidates.resolution, float), centroids, nearest
    )
    points = np.stack(np.unravel_index(np.maximum(nearest, 0), candidates.shape), axis=-1)
    return Extent(sums[..., 0], np.where(voxels > 0, points, np.nan), at_border)
