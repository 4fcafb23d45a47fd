"""Instances from one channel: synaptic clefts, or synapses without their sides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from connectomics.decoding.bits import dilate_in_plane
from connectomics.decoding.decoder import Decoder
from connectomics.decoding.probabilities import check_probabilities, threshold_masks
from connectomics.decoding.runs import (
    count_voxels,
    find_owners,
    find_runs,
    label_components,
    paint,
)
from connectomics.decoding.settings import Edge, Threshold, Voxels
from connectomics.legal import require_legal

if TYPE_CHECKING:
    from connectomics.decoding.blockwise.by_block import ByBlock


def binary2instance(
    volume: np.ndarray, thres: Threshold = 0.5, thres_small: Voxels = 128, dilate_sz: Edge = 0
) -> np.ndarray:
    """Decode the probability of one class into its instances, by connected components.

    The voxels with p > `thres` are the mask. A copy of it, dilated in each section by a square
    of `dilate_sz` voxels, is split into 6-connected components; the mask voxels within one are
    an instance, kept if they are at least `thres_small`. Instances are numbered in scan order.

    Args:
        volume: (Z, Y, X) or (1, Z, Y, X) probabilities. uint8 is p * 255, float16/32/64 is p,
            bool is 0 or 1. Memory-mapped and strided arrays are read a few sections at a
            time, HDF5 and Zarr datasets by chunks.
        thres: Probability above which a voxel is foreground, in [0, 1].
        thres_small: Voxels an instance needs to be kept, counted before dilation.
        dilate_sz: Edge in voxels of the square that bridges gaps within an instance; 0 and 1
            bridge none.

    Returns:
        (Z, Y, X) labels 0 = background, 1 ... n, in the narrowest unsigned type that holds n.

    Raises:
        DataError: The volume has another shape or dtype, or holds NaN or values that are no
            probabilities.
        ConfigError: A setting is out of its range.

    >>> volume = np.array([[[0.9, 0.9, 0.0, 0.9, 0.0, 0.0, 0.9]]])
    >>> binary2instance(volume, thres_small=1)
    array([[[1, 1, 0, 2, 0, 0, 3]]], dtype=uint8)
    >>> binary2instance(volume, thres_small=2, dilate_sz=2)
    array([[[1, 1, 0, 1, 0, 0, 0]]], dtype=uint8)
    """
    require_legal(binary2instance, thres=thres, thres_small=thres_small, dilate_sz=dilate_sz)
    probabilities = check_probabilities(volume, channels=1, where="binary2instance")
    from connectomics.compiling import announced_compilation

    with announced_compilation():
        (mask,) = threshold_masks(probabilities, thres)
        runs = find_runs(mask)
        dilate_in_plane(mask, dilate_sz)
        instances = label_components(mask)
        owner = find_owners(runs, instances, mask.shape)
        kept = count_voxels(runs, owner, instances.count) >= thres_small
        number = np.where(kept, np.cumsum(kept), 0)
        labels = np.zeros(mask.shape, np.min_scalar_type(number.max(initial=0)))
        paint(labels, runs, owner, number.astype(labels.dtype))
    return labels


def _by_block() -> ByBlock:
    from connectomics.decoding.blockwise.baseline import BINARY_BY_BLOCK

    return BINARY_BY_BLOCK


BINARY2INSTANCE = Decoder(
    binary2instance,
    channels=1,
    encoding="instance",
    space={"thres": [0.1, 0.9], "thres_small": [16, 4096], "dilate_sz": [0, 15]},
    by_block=_by_block,
)
