"""Labels of a volume, block by block: the passes of `decoding.blockwise`, run by `blocks`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from connectomics.blocks import open_ledger
from connectomics.data.cache_key import CacheKey
from connectomics.data.io import LazyVolume, open_volume
from connectomics.data.io.sharded import ShardedStore, create_sharded
from connectomics.decoding import blockwise
from connectomics.evaluation.volumes import read
from connectomics.geometry import Triple
from connectomics.pipeline.block_passes import PartsOnDisk, RunTask, reduce_passes, run_pass
from connectomics.pipeline.block_predicting import is_intact
from connectomics.pipeline.fusing import predict_needed
from connectomics.pipeline.in_progress import note_volumes
from connectomics.pipeline.label_key import Labelling
from connectomics.pipeline.label_volumes import open_neurons
from connectomics.pipeline.predicted import Predicted
from connectomics.pipeline.results import LABELS

if TYPE_CHECKING:
    import pandas as pd


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


def decode_by_block(work: Labelling, block: Triple, key: CacheKey) -> LabelsByBlock | None:
    """Decode probabilities block by block, or go on with that.

    Args:
        work: The labels; whoever calls holds the folder in which they are begun (`working_on`).
            Of probabilities that are not there what is needed is predicted first.
        block: (z, y, x) voxels of a block.
        key: What the labels depend on.

    Returns:
        The labels; None where other shards have blocks to do.

    Raises:
        DataError: Some blocks failed; all others are done. Or the decoder refuses the volume.
    """
    probabilities, system = work.probabilities, work.config.system
    ledger = open_ledger(work.in_progress, key.parts, LABELS)
    note_volumes(ledger, key.volumes)
    parts = PartsOnDisk(ledger)
    passes = _passes(work, block)
    seen: int | None = None
    if isinstance(probabilities, Predicted):
        needed = predict_needed(probabilities, passes, ledger, block)
        if needed is None:
            return None
        probabilities, seen = needed
    reduced = reduce_passes(passes[:-1], probabilities, ledger, parts, system)
    if reduced is None:
        return None
    state, foreground = reduced
    store = create_sharded(
        work.in_progress / f"{LABELS}.zarr",
        work.probabilities.shape[-3:],
        blockwise.label_dtype(state),
        block,
        grid=work.probabilities.grid,
        attributes=work.attributes(key),
    )
    last = passes[-1]
    paint = RunTask(last.name, last.run, probabilities, parts, store)
    tasks, intact = partial(last.tasks, state), partial(is_intact, store)
    if not run_pass(tasks, paint, ledger.of(last.name), system, intact, last=True):
        return None
    store.finish()
    return LabelsByBlock(store, *blockwise.tables_of(state), foreground if seen is None else seen)


def _passes(work: Labelling, block: Triple) -> list[blockwise.Pass]:
    volume, neurons = work.probabilities, work.neurons
    return blockwise.passes(
        work.config.decoding.steps,
        shape=volume.shape[-3:],
        block_size=block,
        grid=volume.grid,
        neurons=None if neurons is None else partial(read, open_neurons(neurons, at_most=0)),
    )
