"""Where the synapses of a volume are: from its table, from annotations, or from its labels."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from connectomics.data.annotations import read_annotations
from connectomics.data.volumes import LabelledVolume
from connectomics.decoding import list_synapses
from connectomics.decoding.listed_labels import ListedLabels
from connectomics.decoding.table import SynapseList
from connectomics.evaluation import Encoding, Labels, Sites, interpret, list_extents
from connectomics.evaluation.encoding import SIDED
from connectomics.evaluation.sides import synapse_number
from connectomics.evaluation.volumes import BLOCK_VOXELS, blocks_of, read, values_at
from connectomics.geometry import Box
from connectomics.mapping import Part, map_blocks

if TYPE_CHECKING:
    import pandas as pd


def table_sites(table: pd.DataFrame) -> Sites:
    """The sites that a synapse table lists."""
    points = [
        np.stack([np.asarray(table[f"{site}_{axis}_nm"], float) for axis in "zyx"], axis=1)
        for site in ("pre", "post", "centre")
    ]
    ids = [np.asarray(table[f"{side}_neuron"].fillna(0), np.uint64) for side in ("pre", "post")]
    return Sites(*points, neurons=np.stack(ids, axis=1))


def annotated_sites(volume: LabelledVolume, file: str, neurons: Labels | None) -> Sites:
    """The sites of annotations, each in the neuron that it lies in."""
    pre, post = read_annotations(file)
    ids = np.zeros((len(pre), 2), np.uint64)
    if neurons is not None:
        for side, points in enumerate((pre, post)):
            voxel, inside = _voxels(points, volume)
            ids[inside, side] = values_at(neurons, voxel[inside])
    return Sites(pre, post, (pre + post) / 2, ids)


def labelled_sites(
    volume: LabelledVolume, labels: Labels, encoding: Encoding, neurons: Labels | None
) -> Sites | None:
    """The sites of labels with sides; None of others."""
    read_as = interpret("labels", labels, encoding, sided=True)
    if read_as.encoding not in SIDED:
        return None
    assert volume.resolution is not None
    listing = partial(list_synapses, grid=volume.grid)
    sided = read_as.labels
    if isinstance(sided, np.ndarray) and isinstance(neurons, np.ndarray | None):
        return table_sites(listing(sided, neurons=neurons).table)
    ids, boxes = _batches(sided)
    work = partial(_sites_in, listing, sided, neurons)
    parts = list(map_blocks(work, boxes, "synapses listed", ids))
    if not parts:
        return table_sites(listing(np.zeros((1, 1, 1), np.uint8)).table)
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(found.pop("ids"))
    return Sites(**{name: column[order] for name, column in found.items()})


def _sites_in(
    listing: Callable[..., SynapseList],
    labels: Labels,
    neurons: Labels | None,
    box: Box,
    ids: list[int],
) -> Part:
    """The sites of some synapses that lie in a box."""
    there = None if neurons is None else NeuronsAt(neurons)
    table = listing(_list_box(labels, box), neurons=there).table
    listed = np.asarray(table["synapse_id"], np.int64)
    wanted = np.isin(listed, ids)
    return {"ids": listed[wanted], **vars(table_sites(table).selected(wanted))}


def inside(sites: Sites | None, volume: LabelledVolume, mask: Labels | None) -> Sites | None:
    """The synapses whose centre lies in the volume, where scores count."""
    if sites is None:
        return None
    voxel, kept = _voxels(sites.centre_nm, volume)
    if mask is not None:
        kept[kept] = values_at(mask, voxel[kept]) != 0
    return sites.selected(kept)


class NeuronsAt:
    """A neuron segmentation that is read where voxels are listed."""

    def __init__(self, neurons: Labels) -> None:
        self.shape, self.dtype = neurons.shape, np.dtype(np.uint64)
        self._neurons = neurons

    def at(self, index: np.ndarray) -> np.ndarray:
        """The ids at flat indices."""
        return values_at(self._neurons, np.stack(np.unravel_index(index, self.shape), axis=1))


def _batches(labels: Labels) -> tuple[list[list[int]], list[Box]]:
    """All synapses, in batches that begin in one block, and a box around each batch."""
    sides = list_extents(labels)
    synapses = sides.renamed(synapse_number(sides.ids))
    block = np.asarray(blocks_of(labels)[0].shape)
    rows: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for row, start in enumerate((synapses.start // block).tolist()):
        rows[tuple(start)].append(row)
    ids, boxes = [], []
    for members in rows.values():
        low, high = synapses.start[members].min(0), synapses.stop[members].max(0)
        # One long synapse shall not make all others be read with it.
        together = (
            [members]
            if math.prod((high - low).tolist()) <= 8 * BLOCK_VOXELS
            else [[row] for row in members]
        )
        for some in together:
            low, high = synapses.start[some].min(0), synapses.stop[some].max(0)
            boxes.append(Box(tuple(low.tolist()), tuple(high.tolist())))
            ids.append(synapses.ids[some].tolist())
    return ids, boxes


def _list_box(labels: Labels, box: Box) -> ListedLabels:
    """The labelled voxels of a box, by their places in the volume."""
    part = read(labels, box)
    local = np.flatnonzero(part)
    at = [p + a for p, a in zip(np.unravel_index(local, box.shape), box.start, strict=True)]
    z, y, x = labels.shape
    index = np.ravel_multi_index(at, (z, y, x)).astype(np.int64)
    return ListedLabels((z, y, x), index, part.reshape(-1)[local])


def _voxels(points_nm: np.ndarray, volume: LabelledVolume) -> tuple[np.ndarray, np.ndarray]:
    """(n, 3) the voxel of each point, and (n,) bool, whether it is in the volume."""
    assert volume.resolution is not None
    # The nearest, as CREMI's own scores take it: voxel i lies at i · nm, and halves go to even.
    voxel = np.rint(volume.grid.to_voxels(points_nm))
    is_inside = np.asarray(((voxel >= 0) & (voxel < volume.shape)).all(axis=1))
    return voxel.astype(np.int64), is_inside
