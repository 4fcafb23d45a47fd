"""Polyadic synapses: one pre side, several post partners, one connection each."""

from __future__ import annotations

import itertools
import math

import numpy as np

from connectomics.decoding.candidates import POST, Candidates, link_offset, pieces_of
from connectomics.decoding.merging import number_groups
from connectomics.decoding.voting import percentile_per_synapse

CORE = 0.7
"""Share of a synapse's post strength that a voxel needs to speak for the neuron it lies in."""


def split_partners(
    candidates: Candidates, *, share: float, apart_nm: float, part_nm3: float
) -> Candidates:
    """Split synapses whose post side lies in pieces that are clearly apart.

    Each piece becomes a synapse of its own; the pre side is shared out among them, each voxel
    to the nearest piece. Pieces that only a lost section separates are one, and so are the steps
    in which a thin plate comes that lies aslant to the sections.

    Args:
        candidates: Synapses with sides.
        share: A piece is a partner from this share of the synapse's largest piece on.
        apart_nm: Pieces nearer than this in a section are one.
        part_nm3: A piece is a partner from this volume on.
    """
    post = np.where(candidates.labelled & (candidates.side == POST), candidates.synapse, -1)
    piece, count = pieces_of(candidates, post)
    group = _join_near(candidates, piece, count, apart_nm)
    group = _join_steps(candidates, group)
    return split_groups(candidates, group, share=share, part_nm3=part_nm3)


def split_by_neuron(
    candidates: Candidates, neuron: np.ndarray, *, share: float, part_nm3: float
) -> Candidates:
    """Split synapses whose post side lies in several neurons.

    Only voxels that are likely post for their synapse speak for a neuron: what the network
    spills over the border of a partner does not make partners of the neurons around it.

    Args:
        candidates: Synapses with sides.
        neuron: (V,) neuron at each voxel; 0 is none.
        share: A neuron is a partner from this share of the largest partner's part on.
        part_nm3: A neuron is a partner from this volume on.
    """
    ids, number = np.unique(neuron, return_inverse=True)
    post = candidates.labelled & (candidates.side == POST) & (neuron > 0)
    strength = percentile_per_synapse(candidates, np.where(post, candidates.post, 0), 95.0)
    post &= candidates.post > CORE * np.append(strength, 0)[candidates.synapse]
    key = np.where(post, candidates.synapse.astype(np.int64) * len(ids) + number, -1)
    return split_groups(candidates, number_groups(key), share=share, part_nm3=part_nm3)


def split_groups(
    candidates: Candidates, group: np.ndarray, *, share: float, part_nm3: float
) -> Candidates:
    """Make a synapse of each large group of post voxels; the other voxels join the nearest.

    Args:
        candidates: Synapses with sides.
        group: (V,) group from 0 of each post voxel, or -1; a group is of one synapse.
        share: A group is large from this share of the synapse's largest group on.
        part_nm3: A group is large from this volume on.
    """
    of_group = np.flatnonzero(group >= 0)
    size = np.bincount(group[of_group])
    owner = np.zeros(len(size), np.int64)
    owner[group[of_group]] = candidates.synapse[of_group]
    largest = np.zeros(candidates.count, np.int64)
    np.maximum.at(largest, owner, size)
    large = (size >= share * largest[owner]) & (size * candidates.voxel_nm3 >= part_nm3)
    large &= np.bincount(owner[large], minlength=candidates.count)[owner] > 1
    synapse = candidates.synapse.astype(np.int64)
    order = np.argsort(candidates.synapse, kind="stable")
    for s in np.unique(owner[large]):
        mine = order[slice(*np.searchsorted(candidates.synapse, [s, s + 1], sorter=order))]
        synapse[mine] = candidates.count + _nearest_group(candidates, mine, group, large)
    return candidates.give(synapse=number_groups(synapse))


def _nearest_group(
    candidates: Candidates, places: np.ndarray, group: np.ndarray, large: np.ndarray
) -> np.ndarray:
    """The large group that is nearest to each of some voxels."""
    from scipy.spatial import KDTree

    mine = group[places]
    seed = np.append(large, False)[mine]
    points = candidates.points_nm(places)
    _, nearest = KDTree(points[seed]).query(points)
    return mine[seed][nearest]


def _join_near(
    candidates: Candidates, piece: np.ndarray, count: int, apart_nm: float
) -> np.ndarray:
    """Join the pieces of a synapse that lie near each other, or a lost section apart."""
    taken = np.flatnonzero(piece >= 0)
    owner = np.zeros(count, np.int64)
    owner[piece[taken]] = candidates.synapse[taken]
    several = np.bincount(owner, minlength=max(candidates.count, 1))[owner] > 1
    taken = taken[several[piece[taken]]]
    if len(taken) == 0:
        return piece
    index, of_place = candidates.index[taken], piece[taken].astype(np.int64)
    keys = []
    for offset in _offsets_within(apart_nm, candidates.resolution):
        after = link_offset(index, candidates.shape, offset)
        here = np.flatnonzero(after >= 0)
        a, b = of_place[here], of_place[after[here]]
        keys.append(np.unique((a * count + b)[(a != b) & (owner[a] == owner[b])]))
    a, b = np.divmod(np.unique(np.concatenate(keys)), count)
    return _join_groups(piece, np.stack([a, b], axis=1))


def _join_steps(candidates: Candidates, group: np.ndarray) -> np.ndarray:
    """Join groups of a synapse where one begins in the section after another ends.

    In the plane they lie no further apart than a section is thick: the plate rises at 45° or
    more. Partners lie beside each other in the same sections and stay apart.
    """
    from scipy.spatial import KDTree

    depth, height, width = candidates.shape
    order = np.argsort(group, kind="stable")
    order = order[np.searchsorted(group[order], 0) :]
    if len(order) == 0:
        return group
    z = candidates.index[order] // (height * width)
    begin = np.flatnonzero(np.diff(group[order], prepend=-1))
    end = np.append(begin[1:], len(order))
    # The list is in scan order, so a group begins with its first section and ends with its last.
    row = candidates.synapse[order[begin]].astype(np.int64) * (depth + 1)
    starts, wanted = row + z[begin], row + z[end - 1] + 1
    points = candidates.points_nm(order)[:, 1:]
    by_start = np.argsort(starts, kind="stable")
    matches = [np.searchsorted(starts[by_start], wanted, side) for side in ("left", "right")]
    steps = []
    for a, (low, high) in enumerate(zip(*matches, strict=True)):
        for b in by_start[low:high]:
            top = np.flatnonzero(z[begin[a] : end[a]] == z[end[a] - 1]) + begin[a]
            bottom = np.flatnonzero(z[begin[b] : end[b]] == z[begin[b]]) + begin[b]
            apart, _ = KDTree(points[top]).query(points[bottom])
            if apart.min() <= candidates.resolution[0]:
                steps.append((group[order[begin[a]]], group[order[begin[b]]]))
    return _join_groups(group, np.array(steps, np.int64).reshape(-1, 2))


def _join_groups(group: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Make one group of those that pairs connect."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = int(group.max(initial=-1)) + 1
    graph = coo_array((np.ones(len(pairs)), tuple(pairs.T)), shape=(count, count))
    _, joined = connected_components(graph, directed=False)
    return np.where(group >= 0, joined[group], -1)


def _offsets_within(
    distance_nm: float, resolution: tuple[float, float, float]
) -> list[tuple[int, int, int]]:
    """Offsets (z, y, x) to the later voxels within a distance, two sections counting as that.

    >>> _offsets_within(8.0, (30.0, 8.0, 8.0))
    [(0, 0, 1), (0, 1, 0), (1, 0, 0), (2, 0, 0)]
    """
    scale = (distance_nm / 2, *resolution[1:])
    reach = [int(distance_nm / size + 1e-6) if size else 0 for size in scale]
    z, y, x = (range(-n, n + 1) for n in reach)
    return [
        offset
        for offset in itertools.product(z, y, x)
        if offset > (0, 0, 0)
        and math.hypot(*(n * size for n, size in zip(offset, scale, strict=True)))
        <= distance_nm + 1e-6
    ]
