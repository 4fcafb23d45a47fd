"""Reading probabilities, and neurons, at the voxels that may be synapse."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from connectomics.decoding.bits import BitMask, dilate_in_plane
from connectomics.decoding.candidates import NONE, POST, PRE, Candidates, is_set, list_voxels
from connectomics.decoding.foreground import is_sparse, sum_of_union, too_much_foreground
from connectomics.decoding.levels import AS_THEY_ARE, Levels
from connectomics.decoding.probabilities import (
    Probabilities,
    argmax_masks,
    as_p,
    polarity_masks,
    threshold_masks,
)
from connectomics.decoding.runs import label_components, remove_small
from connectomics.errors import DataError
from connectomics.geometry import VoxelGrid
from connectomics.process.sections import map_sections


def find_candidates(
    probabilities: Probabilities,
    grid: VoxelGrid,
    *,
    thres: float,
    low: float | None,
    exclusive: bool,
    bridge_nm: float,
    min_piece_nm3: float,
    levels: Levels = AS_THEY_ARE,
) -> Candidates:
    """List the voxels of the union's components, with the sides the baseline gives them.

    Args:
        probabilities: Three channels; see `polarity2instance`.
        grid: Where the voxels lie; their size is known.
        thres: Probability above which a voxel is foreground.
        low: The same for the union alone; None where it has no threshold of its own.
        exclusive: Whether the channels are background, pre and post.
        bridge_nm: Edge of the square that dilates the union, before its components are found.
        min_piece_nm3: Pieces of one side smaller than this are dropped first.
        levels: The thresholds, and the probabilities in the list, lie between these.
    """
    resolution = grid.resolution
    assert resolution is not None
    pre, post, union = candidate_masks(probabilities, levels, thres, low, exclusive)
    min_piece = voxels_of(min_piece_nm3, resolution)
    remove_small(pre, min_piece)
    remove_small(post, min_piece)
    bridged = BitMask(union.bits.copy(), union.shape)
    dilate_in_plane(bridged, bridge_voxels(bridge_nm, resolution))
    filled = np.array([union.count(), bridged.count()])
    if not is_sparse(filled, math.prod(union.shape), resolution):
        total = sum_of_union(probabilities, exclusive)
        where, voxels = probabilities.where, math.prod(union.shape)
        raise too_much_foreground(where, filled, total, voxels, exclusive=exclusive)
    index, component = list_voxels(label_components(bridged), union.shape)
    p = weigh(gather(probabilities, index), levels, exclusive)
    side = np.where(is_set(post, index), POST, np.where(is_set(pre, index), PRE, NONE))
    return Candidates(
        shape=probabilities.shape,
        grid=grid,
        index=index,
        pre=p[0],
        post=p[1],
        union=p[2],
        inside=is_set(union, index),
        synapse=component,
        side=side.astype(np.int8),
    )


def voxels_of(volume_nm3: float, resolution: tuple[float, float, float]) -> int:
    """The least number of voxels that fill a volume.

    >>> voxels_of(245_760.0, (30.0, 8.0, 8.0)), voxels_of(1.0, (30.0, 8.0, 8.0))
    (128, 1)
    """
    # The small term keeps rounding from asking for a voxel more.
    return int(np.ceil(volume_nm3 / float(np.prod(resolution)) - 1e-6))


def bridge_voxels(bridge_nm: float, resolution: tuple[float, float, float]) -> int:
    """Edge in voxels of the square that bridges gaps."""
    return round(bridge_nm / float(np.sqrt(resolution[1] * resolution[2])))


def candidate_masks(
    probabilities: Probabilities,
    levels: Levels,
    thres: float,
    low: float | None,
    exclusive: bool,
) -> tuple[BitMask, BitMask, BitMask]:
    """The masks of pre, post and union, with pre and post inside the union.

    Args: as `find_candidates`.
    """
    if low is None and levels is AS_THEY_ARE:
        return polarity_masks(probabilities, thres, exclusive)
    limits = [levels.raw(p) for p in (thres, thres, thres if low is None else low)]
    if exclusive:
        pre, post = argmax_masks(probabilities)  # which also checks the values
        if levels is not AS_THEY_ARE:
            pre, post = _likeliest_sides(probabilities, levels)
        union = _foreground(probabilities, limits[2])
    else:
        pre, post, union = threshold_masks(probabilities, limits)
    np.bitwise_and(pre.bits, union.bits, out=pre.bits)
    np.bitwise_and(post.bits, union.bits, out=post.bits)
    return pre, post, union


def _foreground(probabilities: Probabilities, low: float) -> BitMask:
    """Where the classes pre and post have more than `low` between them."""
    mask = BitMask.empty(probabilities.shape)

    def threshold(begin: int, end: int) -> None:
        both = probabilities.read_p(1, begin, end) + probabilities.read_p(2, begin, end)
        mask.bits[begin:end] = BitMask.pack(both > low).bits

    map_sections(probabilities.shape[0], threshold, thickness=probabilities.thickness)
    return mask


def _likeliest_sides(probabilities: Probabilities, levels: Levels) -> tuple[BitMask, BitMask]:
    """Where pre, and where post, is the likeliest class between these levels."""
    pre, post = BitMask.empty(probabilities.shape), BitMask.empty(probabilities.shape)

    def compare(begin: int, end: int) -> None:
        first, second = (probabilities.read_p(channel, begin, end) for channel in (1, 2))
        first, second = levels.stretched_sides(first, second)
        background = 1 - (first + second)
        pre.bits[begin:end] = BitMask.pack((first > background) & (first >= second)).bits
        post.bits[begin:end] = BitMask.pack((second > background) & (second > first)).bits

    map_sections(probabilities.shape[0], compare, thickness=probabilities.thickness)
    return pre, post


def gather(probabilities: Probabilities, index: np.ndarray) -> np.ndarray:
    """(C, V) what the channels hold at some voxels, in the dtype of the volume.

    Args:
        probabilities: C channels.
        index: (V,) flat indices, ascending.
    """
    depth, height, width = probabilities.shape
    found = np.empty((probabilities.channels, index.size), probabilities.dtype)
    first = np.searchsorted(index, np.arange(depth + 1) * (height * width))

    def read(begin: int, end: int) -> None:
        places = slice(first[begin], first[end])
        if first[begin] == first[end]:
            return
        local = index[places] - begin * height * width
        for channel in range(probabilities.channels):
            found[channel, places] = probabilities.read(channel, begin, end).ravel()[local]

    map_sections(depth, read, thickness=probabilities.thickness)
    return found


def weigh(values: np.ndarray, levels: Levels, exclusive: bool) -> np.ndarray:
    """(3, V) float32, the probability of pre, post and union that lies between levels.

    Args:
        values: (3, V) what the channels hold.
        levels: What stands for nothing and for certainty.
        exclusive: Whether the channels are background, pre and post.
    """
    p = as_p(values)
    if not exclusive:
        return levels.stretched(p)
    pre, post = p[1:]
    union = np.minimum(pre + post, 1)
    adapts = levels is not AS_THEY_ARE
    sides = levels.stretched_sides(pre, post) if adapts else levels.stretched(p[1:])
    return np.stack([*sides, levels.stretched(union)])


def gather_neurons(neurons: Any, candidates: Candidates, *, where: str) -> np.ndarray:
    """The neuron at each candidate voxel, (V,) uint64; 0 is none.

    Args:
        neurons: (Z, Y, X) ids: an array, anything that is sliced like one, or anything that gives
            the ids `at` flat indices.
        candidates: V voxels.
        where: The function they were given to, for messages.

    Raises:
        DataError: The neurons have another shape than the volume, or are no ids.
    """
    check_neurons(neurons, candidates.shape, where)
    if hasattr(neurons, "at"):
        return np.asarray(neurons.at(candidates.index), np.uint64)
    _, height, width = candidates.shape
    found = np.zeros(candidates.index.size, np.uint64)
    first = np.searchsorted(candidates.index, np.arange(candidates.shape[0] + 1) * height * width)
    for z in range(candidates.shape[0]):
        places = slice(first[z], first[z + 1])
        if first[z] < first[z + 1]:
            section = np.asarray(neurons[z]).ravel()
            found[places] = section[candidates.index[places] - z * height * width]
    return found


def check_neurons(neurons: Any, shape: tuple[int, int, int], where: str) -> None:
    """Refuse neurons that have another shape than the volume, or are no ids."""
    if tuple(neurons.shape) != shape:
        raise DataError(
            where,
            f"the neurons have shape {tuple(neurons.shape)}, the volume {shape}.",
            "Give the neuron segmentation of the same region at the same voxel size.",
        )
    if np.dtype(neurons.dtype).kind not in "ui":
        raise DataError(where, f"the neurons are {neurons.dtype}.", "Give whole-number ids.")


def union_between(
    probabilities: Probabilities,
    begin: np.ndarray,
    end: np.ndarray,
    *,
    levels: Levels = AS_THEY_ARE,
    exclusive: bool,
) -> float:
    """Mean probability of the union on the voxels strictly between two, 1 if there are none.

    Args:
        probabilities: Three channels.
        begin: (3,) voxel (z, y, x).
        end: (3,) voxel.
        levels: What the probabilities are read between.
        exclusive: Whether the channels are background, pre and post.
    """
    channel = 0 if exclusive else 2

    def read(at: np.ndarray) -> np.ndarray:
        z, y, x = at.T
        low = int(z.min())
        return probabilities.read_p(channel, low, int(z.max()) + 1)[z - low, y, x]

    return mean_between(read, begin, end, levels=levels, exclusive=exclusive)


def mean_between(
    read: Callable[[np.ndarray], np.ndarray],
    begin: np.ndarray,
    end: np.ndarray,
    *,
    levels: Levels,
    exclusive: bool,
) -> float:
    """The same where `read` gives the probability of the union, or of the background, at voxels."""
    steps = int(np.abs(end - begin).max())
    if steps < 2:
        return 1.0
    share = np.arange(1, steps)[:, None] / steps
    p = read(np.rint(begin + share * (end - begin)).astype(np.int64))
    return float(levels.stretched(1 - p if exclusive else p).mean())
