"""Splitting touching synapses: a watershed from where pre and post evidence meet."""

from __future__ import annotations

import numpy as np

from connectomics.decoding import kernels
from connectomics.decoding.candidates import Candidates
from connectomics.decoding.merging import join_pairs, number_groups
from connectomics.decoding.voting import vote_sides

LEAST_PEAK = 0.2
"""A basin whose peak is lower than this is no synapse of its own."""


def split_touching(
    candidates: Candidates, *, sigma_nm: float, radius_nm: float, saddle: float, part_nm3: float
) -> Candidates:
    """Split each component into the synapses it holds.

    The landscape is sqrt(G p_pre · G p_post) + G p_union, G a Gaussian. The first term is high
    along the border between the two sides of a synapse. Between synapses both terms are low;
    where a network only takes one side for the other, or misses a spot, one of them is not. It
    is flooded from its peaks. Where two basins meet they become one if the saddle between them
    is hardly lower than the lower peak, or if their peaks are nearer than `radius_nm`; else a
    border stays. What only bridges a gap lies at 0, so a gap always separates, however narrow.

    Args:
        candidates: Synapses that may be several.
        sigma_nm: Standard deviation of G. Across sections it is at least two thirds of a
            section, so that one weak section alone does not split a synapse.
        radius_nm: Two peaks nearer than this belong to one synapse.
        saddle: Basins are joined where the saddle is at least this share of the lower peak,
            in [0, 1].
        part_nm3: A part with less than this on either side goes back to its neighbour.

    Returns:
        The same voxels with more synapses, numbered in scan order.
    """
    height = meeting_evidence(candidates, sigma_nm=sigma_nm)
    height += smooth(candidates, candidates.union, sigma_nm)
    ground = np.where(candidates.inside, height, np.float32(0))
    order = np.argsort(-ground, kind="stable")
    order = order[candidates.synapse[order] >= 0]
    rule = (LEAST_PEAK, float(saddle), float(radius_nm))
    parent = np.full(height.size, -1, np.int32)
    kernels.voxels.flood(order, ground, candidates.links, candidates.points_nm(), rule, parent)
    parts = candidates.give(synapse=number_groups(parent))
    return join_pairs(parts, _incomplete_parts(parts, height, part_nm3))


def _incomplete_parts(parts: Candidates, height: np.ndarray, part_nm3: float) -> np.ndarray:
    """(N, 2) parts that lack a side, each with the part to which the highest saddle leads."""
    sizes = vote_sides(parts).side_sizes().min(axis=0)
    incomplete = np.append(sizes * parts.voxel_nm3 < part_nm3, False)
    rows = []
    for _, after in parts.links:
        here = np.flatnonzero(after >= 0)
        there = after[here]
        a, b = parts.synapse[here], parts.synapse[there]
        border = (a != b) & (a >= 0) & (b >= 0)
        a, b, pass_height = a[border], b[border], np.minimum(height[here], height[there])[border]
        for part, other in ((a, b), (b, a)):
            lacks = incomplete[part]
            rows.append(np.column_stack([part[lacks], other[lacks], pass_height[lacks]]))
    table = np.concatenate(rows)
    table = table[np.lexsort((-table[:, 2], table[:, 0]))]
    _, best = np.unique(table[:, 0], return_index=True)
    return table[best, :2].astype(np.int64)


def meeting_evidence(candidates: Candidates, *, sigma_nm: float) -> np.ndarray:
    """(V,) float32, sqrt(G p_pre · G p_post) at each voxel."""
    pre, post = (smooth(candidates, p, sigma_nm) for p in (candidates.pre, candidates.post))
    return np.sqrt(pre * post)


def smooth(candidates: Candidates, values: np.ndarray, sigma_nm: float) -> np.ndarray:
    """Smooth values over the list of voxels with a Gaussian, those not listed being 0.

    Args:
        candidates: V voxels.
        values: (V,) float32.
        sigma_nm: Standard deviation; across sections at least two thirds of a section.
    """
    for axis, size in enumerate(candidates.resolution):
        sigma = sigma_nm / size
        if axis == 0:
            sigma = max(sigma, 2 / 3)
        distance = np.arange(int(np.ceil(2.5 * sigma)) + 1)
        weights = np.exp(-0.5 * (distance / max(sigma, 1e-3)) ** 2)
        weights = (weights / (2 * weights.sum() - 1)).astype(np.float32)
        smoothed = np.empty_like(values)
        kernels.voxels.smooth(values, candidates.links[axis], weights, smoothed)
        values = smoothed
    return values
