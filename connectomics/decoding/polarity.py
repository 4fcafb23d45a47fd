"""The baseline decoder: from polarity probabilities to synapses by connected components."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from connectomics.decoding.bits import BitMask, dilate_in_plane
from connectomics.decoding.decoder import Decoder
from connectomics.decoding.probabilities import check_probabilities, polarity_masks
from connectomics.decoding.resize import resize_nearest
from connectomics.decoding.runs import (
    find_owners,
    find_runs,
    label_components,
    paint,
    remove_small,
)
from connectomics.decoding.settings import Edge, Factors, Flag, Threshold, Voxels
from connectomics.decoding.sides import report_one_sided
from connectomics.legal import require_legal

if TYPE_CHECKING:
    from connectomics.decoding.blockwise.by_block import ByBlock


def polarity2instance(
    volume: np.ndarray,
    thres: Threshold = 0.5,
    thres_small: Voxels = 128,
    scale_factors: Factors = (1.0, 1.0, 1.0),
    semantic: Flag = False,
    dilate_sz: Edge = 5,
    exclusive: Flag = False,
) -> np.ndarray:
    """Decode pre- and post-synaptic probabilities into synapse instances.

    The rule, step by step:

    1. Masks. By default pre, post and union are the voxels with p > `thres`, and pre and post
       are cut to the union. With `exclusive`, pre and post are the voxels where that channel is
       the greatest (the first of equal ones counts) and the union is both; `thres` has no part.
    2. 6-connected pieces of pre, and of post, with fewer than `thres_small` voxels are dropped.
    3. The union as it was in step 1, so with what step 2 dropped, is dilated in each section by
       a square of `dilate_sz` voxels. Its 6-connected components are the synapses. An even
       square is well defined: on whichever side the odd voxel lies, the same synapses join.
    4. Synapses that hold a voxel of pre or post are numbered n = 1, 2, ... as a scan meets
       them. Their pre voxels get 2n - 1 and their post voxels 2n; a voxel of both is post.
       With `semantic` they get 1 and 2 instead, without step 3.
    5. The result is resized by `scale_factors`, taking the nearest voxel.

    A synapse of which only one side is left keeps its number; how many there are is logged as
    a warning.

    The rule is that of the decoder published with Lin et al., Two-Stream Active Query
    Suggestion for Active Learning in Connectomics (ECCV 2020).

    Args:
        volume: (3, Z, Y, X) probabilities: pre, post, union; with `exclusive` background, pre,
            post. uint8 is p * 255, float16/32/64 is p, bool is 0 or 1. Memory-mapped and
            strided arrays are read a few sections at a time, HDF5 and Zarr datasets by chunks.
        thres: Probability above which a voxel is foreground, in [0, 1].
        thres_small: Voxels a piece of one side needs to be kept.
        scale_factors: Factors (z, y, x) for the size of the result, rounded down to voxels.
        semantic: Return sides (0, 1 = pre, 2 = post) instead of synapses.
        dilate_sz: Edge in voxels of the square that bridges gaps within a synapse.
        exclusive: The channels are classes that exclude each other, as a softmax gives.

    Returns:
        (Z, Y, X) labels, in the narrowest unsigned type that holds all of them.

    Raises:
        DataError: The volume has another shape or dtype, or holds NaN or values that are no
            probabilities.
        ConfigError: A setting is out of its range.

    >>> volume = np.zeros((3, 1, 4, 8), np.float32)
    >>> volume[0, 0, :2, 1:3] = volume[1, 0, 2:, 1:3] = volume[2, 0, :, 1:3] = 0.9
    >>> polarity2instance(volume, thres_small=4)[0]
    array([[0, 1, 1, 0, 0, 0, 0, 0],
           [0, 1, 1, 0, 0, 0, 0, 0],
           [0, 2, 2, 0, 0, 0, 0, 0],
           [0, 2, 2, 0, 0, 0, 0, 0]], dtype=uint8)
    """
    require_legal(
        polarity2instance,
        thres=thres,
        thres_small=thres_small,
        scale_factors=scale_factors,
        semantic=semantic,
        dilate_sz=dilate_sz,
        exclusive=exclusive,
    )
    probabilities = check_probabilities(volume, channels=3, where="polarity2instance")
    from connectomics.compiling import announced_compilation

    with announced_compilation():
        pre, post, union = polarity_masks(probabilities, thres, exclusive)
        remove_small(pre, thres_small)
        remove_small(post, thres_small)
        np.bitwise_and(pre.bits, ~post.bits, out=pre.bits)  # post wins where both hold
        labels = (
            _paint_sides(pre, post) if semantic else _paint_synapses(pre, post, union, dilate_sz)
        )
    return resize_nearest(labels, scale_factors)


def _by_block() -> ByBlock:
    from connectomics.decoding.blockwise.baseline import POLARITY_BY_BLOCK

    return POLARITY_BY_BLOCK


POLARITY2INSTANCE = Decoder(
    polarity2instance,
    channels=3,
    encoding="polarity",
    space={"thres": [0.1, 0.9], "thres_small": [16, 4096], "dilate_sz": [1, 15]},
    fixed=("exclusive", "semantic", "scale_factors"),
    by_block=_by_block,
)


def _paint_sides(pre: BitMask, post: BitMask) -> np.ndarray:
    """Labels 1 and 2 for all of pre and post, which share no voxel."""
    labels = np.zeros(pre.shape, np.uint8)
    for value, side in enumerate((pre, post), start=1):
        runs = find_runs(side)
        paint(labels, runs, np.zeros(len(runs.start), np.int32), np.array([value], np.uint8))
    return labels


def _paint_synapses(pre: BitMask, post: BitMask, union: BitMask, dilate_sz: int) -> np.ndarray:
    """Labels 2n - 1 and 2n for pre and post, which share no voxel; dilates `union` in place."""
    dilate_in_plane(union, dilate_sz)
    synapses = label_components(union)
    sides = [find_runs(pre), find_runs(post)]
    owners = [find_owners(runs, synapses, union.shape) for runs in sides]
    holds = np.zeros((2, synapses.count), bool)
    for side, owner in enumerate(owners):
        holds[side, owner] = True
    report_one_sided(*holds)

    number = np.cumsum(holds.any(axis=0))  # of each component that is painted at all
    labels = np.zeros(union.shape, np.min_scalar_type(2 * number.max(initial=0)))
    for ids, runs, owner in zip((2 * number - 1, 2 * number), sides, owners, strict=True):
        paint(labels, runs, owner, ids.astype(labels.dtype))
    return labels
