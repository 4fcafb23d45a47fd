"""Polyadic synapses: one pre side, several post partners, one connection each."""

from __future__ import annotations

import numpy as np

from connectomics.decoding.candidates import POST, Candidates, pieces_of
from connectomics.decoding.merging import number_groups
from connectomics.decoding.pieces import join_near, join_steps
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
    group = join_near(candidates, piece, count, apart_nm)
    group = join_steps(candidates, group)
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
