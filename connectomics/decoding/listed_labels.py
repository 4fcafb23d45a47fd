"""The labelled voxels of a volume, listed as the voxels of synapses with sides."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from connectomics.decoding.candidates import POST, PRE, Candidates
from connectomics.errors import DataError
from connectomics.geometry import VoxelGrid

LOOKUP = 1 << 20
"""Ids up to this number are looked up in a table whatever the number of voxels."""


class ListedLabels(NamedTuple):
    """Labelled voxels of a volume, or of a part of it.

    Attributes:
        shape: (Z, Y, X) of the volume.
        index: (V,) int64, flat index of each in the volume, ascending.
        values: (V,) their labels, from 1.
    """

    shape: tuple[int, int, int]
    index: np.ndarray
    values: np.ndarray


def candidates_of(
    where: str, labels: np.ndarray | ListedLabels, grid: VoxelGrid
) -> tuple[np.ndarray, Candidates]:
    """The ids of the synapses of a label volume, and their voxels."""
    if not isinstance(labels, ListedLabels):
        labels = _labelled(where, np.asarray(labels))
    index, values = labels.index, labels.values
    if values.size and values.min() < 0:
        raise DataError(where, f"a label is {values.min()}.", "Labels start at 0, background.")
    odd = values & 1
    ids, synapse = _numbered((values >> 1) + odd)
    nothing = np.zeros(index.size, np.float32)
    return ids, Candidates(
        shape=labels.shape,
        grid=grid,
        index=index,
        pre=nothing,
        post=nothing,
        union=nothing,
        inside=np.ones(index.size, bool),
        synapse=synapse.astype(np.int32),
        side=np.where(odd, np.int8(PRE), np.int8(POST)),
    )


def _labelled(where: str, labels: np.ndarray) -> ListedLabels:
    """The labelled voxels of a volume."""
    if labels.ndim != 3 or labels.dtype.kind not in "ui":
        raise DataError(
            where,
            f"the labels are {labels.dtype} of shape {labels.shape}.",
            "Give (Z, Y, X) integers, 2n - 1 on the pre and 2n on the post side of synapse n.",
        )
    index = np.flatnonzero(labels)
    z, y, x = labels.shape
    return ListedLabels((z, y, x), index, labels.ravel()[index])


def _numbered(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values there are, ascending, and the place of each among them.

    As `np.unique`, without sorting where the values are no greater than they are many.
    """
    top = int(values.max(initial=0))
    if top > max(values.size, LOOKUP):
        return np.unique(values, return_inverse=True)
    present = np.zeros(top + 1, bool)
    present[values] = True
    return np.flatnonzero(present), (np.cumsum(present) - 1)[values]
