"""Labels of a volume, block by block: the passes of `decoding.blockwise`, run by `blocks`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from connectomics.blocks import open_ledger
from connectomics.config import Config
from connectomics.data.io import LazyVolume, open_volume
from connectomics.data.io.sharded import ShardedStore, create_sharded
from connectomics.data.origin import Origin
from connectomics.data.processing import clean_neurons
from connectomics.decoding import blockwise
from connectomics.geometry import Box, Triple
from connectomics.pipeline.block_passes import PartsOnDisk, RunTask, reduce_passes, run_pass
from connectomics.pipeline.block_predicting import is_intact
from connectomics.pipeline.by_block import note_volumes
from connectomics.pipeline.fusing import Predicted, predict_needed
from connectomics.pipeline.results import LABELS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ReadNeurons:
    """Reads a box of a neuron segmentation; CREMI's marks become 0."""

    neurons: LazyVolume

    def __call__(self, box: Box) -> np.ndarray:
        """Read it."""
        return clean_neurons(self.neurons.read(box), self.neurons.source)


@dataclass(frozen=True)
class LabelsByBlock:
    """Labels that are whole, and their tables.

    Attributes:
        store: Of the labels.
        table: See `Decoded`.
        partners: See `Decoded`.
        foreground: Voxels that are likelier synapse than not.
    """

    store: ShardedStore
    table: pd.DataFrame | None
    partners: pd.DataFrame | None
    foreground: int

    @property
    def labels(self) -> LazyVolume:
        """The labels, to be read."""
        return open_volume(self.store.path)


def decode_by_block(
    probabilities: LazyVolume | Predicted,
    folder: Path,
    config: Config,
    *,
    block: Triple,
    origin: Origin,
    attributes: Mapping[str, Any],
    neurons: LazyVolume | None = None,
) -> LabelsByBlock | None:
    """Decode probabilities block by block, or go on with that.

    Args:
        probabilities: (C, Z, Y, X), with the voxel size and offset that count; what is needed of
            them is predicted first where they are not there.
        folder: Of what is begun; whoever calls holds it (`working_on`).
        config: Of the stage: the decoder, and where blocks are worked on.
        block: (z, y, x) voxels of a block.
        origin: What the labels depend on.
        attributes: What the store shall say of itself.
        neurons: The neuron segmentation of the volume.

    Returns:
        The labels; None where other shards have blocks to do.

    Raises:
        DataError: Some blocks failed; all others are done. Or the decoder refuses the volume.
    """
    system, (depth, height, width) = config.system, probabilities.shape[-3:]
    shape = depth, height, width
    ledger = open_ledger(folder, origin.parts, LABELS)
    note_volumes(ledger, origin.volumes)
    parts = PartsOnDisk(ledger)
    steps = blockwise.passes(
        config.decoding.steps,
        shape=shape,
        block_size=block,
        resolution=probabilities.resolution,
        offset_nm=probabilities.offset_nm,
        neurons=None if neurons is None else ReadNeurons(neurons),
    )
    place = {"resolution": probabilities.resolution, "offset_nm": probabilities.offset_nm}
    seen: int | None = None
    if isinstance(probabilities, Predicted):
        needed = predict_needed(probabilities, steps, ledger, block)
        if needed is None:
            return None
        probabilities, seen = needed
    reduced = reduce_passes(steps[:-1], probabilities, ledger, parts, system)
    if reduced is None:
        return None
    state, foreground = reduced
    store = create_sharded(
        folder / f"{LABELS}.zarr",
        shape,
        blockwise.label_dtype(state),
        block,
        **place,
        attributes=attributes,
    )
    last = steps[-1]
    work = RunTask(last.name, last.run, probabilities, parts, store)
    intact = partial(is_intact, store)
    tasks = partial(last.tasks, state)
    if not run_pass(tasks, work, ledger.of(last.name), system, intact, last=True):
        return None
    store.finish()
    return LabelsByBlock(store, *blockwise.tables_of(state), foreground if seen is None else seen)
