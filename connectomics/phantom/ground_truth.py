"""What is known about a phantom: its labels and the record of each synapse and decoy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .synapses import Junction

# A synapse of which the volume's edge leaves less than this on either side is not labelled.
_LEAST_SIDE_NM3 = 0.25e6

Position = tuple[float, float, float]


@dataclass(frozen=True)
class Synapse:
    """One connection of the phantom.

    Attributes:
        id: n; its voxels carry 2n-1 (pre) and 2n (post) in the label.
        pre_neuron: Id of the pre-synaptic neuron.
        post_neuron: Id of the post-synaptic neuron.
        centre_nm: Mean position of its voxels, (z, y, x) nm.
        pre_nm: Mean position of the pre voxels.
        post_nm: Mean position of the post voxels.
        pre_voxels: Voxels on the pre side.
        post_voxels: Voxels on the post side.
        site: Number of the pre-synaptic site; the connections of a polyadic site share it.
    """

    id: int
    pre_neuron: int
    post_neuron: int
    centre_nm: Position
    pre_nm: Position
    post_nm: Position
    pre_voxels: int
    post_voxels: int
    site: int


@dataclass(frozen=True)
class Decoy:
    """Something that looks like half a synapse and is not labelled.

    Attributes:
        kind: "vesicles" (a cloud at a bare membrane) or "density" (dark membranes, no vesicles).
        centre_nm: Position, (z, y, x) nm.
    """

    kind: str
    centre_nm: Position


def paint_labels(junctions: list[Junction], shape: tuple[int, ...]) -> np.ndarray:
    """Give connection n of the junctions the labels 2n-1 and 2n.

    Args:
        junctions: The synapses; each post partner is a connection.
        shape: Sections, rows, columns.

    Returns:
        (Z, Y, X) unsigned integers.
    """
    count = sum(len(junction.posts) for junction in junctions)
    label = np.zeros(shape, _id_dtype(count))
    n = 0
    for junction in junctions:
        for post in junction.posts:
            n += 1
            mine = junction.partner == post
            label[tuple(junction.voxels[mine].T)] = 2 * n - junction.is_pre[mine]
    return label


def record_synapses(
    label: np.ndarray, junctions: list[Junction], resolution: np.ndarray
) -> tuple[np.ndarray, tuple[Synapse, ...]]:
    """Drop synapses of which the volume's edge left too little and number the rest from 1.

    Args:
        label: (Z, Y, X) labels from `paint_labels`, cut to the final volume.
        junctions: The same junctions, in the same order.
        resolution: (3,) nm per voxel.

    Returns:
        The labels with new numbers (uint16, or uint32 from 32768 synapses on), and the records.
    """
    connections = [
        (site, junction.pre, post)
        for site, junction in enumerate(junctions, start=1)
        for post in junction.posts
    ]
    at = np.nonzero(label)
    ids = label[at].astype(np.int64)
    sizes = np.bincount(ids, minlength=2 * len(connections) + 1)
    sums = np.stack([np.bincount(ids, axis, len(sizes)) for axis in at], axis=1) * resolution
    least = max(1.0, _LEAST_SIDE_NM3 / float(np.prod(resolution)))
    synapses: list[Synapse] = []
    new = np.zeros(len(sizes), _id_dtype(len(connections)))
    for old, (site, pre, post) in enumerate(connections, start=1):
        sides = [2 * old - 1, 2 * old]
        if sizes[sides].min() < least:
            continue
        n = len(synapses) + 1
        new[sides] = 2 * n - 1, 2 * n
        centre = _position(sums[sides].sum(0) / sizes[sides].sum())
        pre_nm, post_nm = (_position(sums[side] / sizes[side]) for side in sides)
        pre_voxels, post_voxels = (int(sizes[side]) for side in sides)
        synapses.append(
            Synapse(n, pre, post, centre, pre_nm, post_nm, pre_voxels, post_voxels, site)
        )
    return new[label], tuple(synapses)


def record_decoys(junctions: list[Junction], kind: str, origin_nm: np.ndarray) -> tuple[Decoy, ...]:
    """Describe decoys, with positions relative to the final volume's first voxel."""
    return tuple(Decoy(kind, _position(j.centre_nm - origin_nm)) for j in junctions)


def _id_dtype(count: int) -> type[np.unsignedinteger]:
    return np.uint16 if 2 * count <= np.iinfo(np.uint16).max else np.uint32


def _position(point: np.ndarray) -> Position:
    z, y, x = point
    return float(z), float(y), float(x)
