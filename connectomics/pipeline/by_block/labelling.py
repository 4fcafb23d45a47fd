"""Labels of a volume, block by block: the passes of `decoding.blockwise`, run by `blocks`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connectomics.blocks import Ledger, open_ledger
from connectomics.config.schema import NamedSection, SystemSection
from connectomics.data.cache_key import CacheKey
from connectomics.data.io import LazyVolume, open_volume
from connectomics.data.io.sharded import ShardedStore, create_sharded
from connectomics.decoding import blockwise
from connectomics.decoding.foreground import TooMuchForegroundError
from connectomics.errors import naming
from connectomics.evaluation.volumes import read
from connectomics.geometry import Triple
from connectomics.pipeline.artifact import note_volumes
from connectomics.pipeline.by_block.fusing import predict_needed
from connectomics.pipeline.by_block.parts import PartsOnDisk, mending, run_pass
from connectomics.pipeline.by_block.passes import RunTask, reduce_passes
from connectomics.pipeline.by_block.predicting import is_intact
from connectomics.pipeline.predicted import Predicted
from connectomics.pipeline.results import LABELS
from connectomics.scoring.labels import open_neurons

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


def decode_by_block(
    probabilities: LazyVolume | Predicted,
    steps: Sequence[NamedSection],
    system: SystemSection,
    block: Triple,
    *,
    neurons: LazyVolume | None,
    folder: Path,
    key: CacheKey,
    attributes: Mapping[str, Any],
) -> LabelsByBlock | None:
    """Decode probabilities block by block, or go on with that.

    Args:
        probabilities: Of those that are not there what is needed is predicted first.
        steps: The decoder.
        system: Who works on blocks.
        block: (z, y, x) voxels of a block.
        neurons: The neuron segmentation of the volume, where there is one.
        folder: Where the labels are begun.
        key: What they depend on.
        attributes: What they shall say of themselves.

    Returns:
        The labels; None where other shards have blocks to do.

    Raises:
        DataError: Some blocks failed; all others are done. Or the decoder refuses the volume.
    """
    ledger = open_ledger(folder, key.parts, LABELS)
    note_volumes(ledger, key.volumes)
    passes = passes_of(probabilities, steps, block, neurons)

    def decode() -> LabelsByBlock | None:
        if not isinstance(probabilities, Predicted):
            return _run(passes, probabilities, system, block, ledger, attributes)
        needed = predict_needed(probabilities, steps, passes, ledger, block)
        if needed is None:
            return None
        kept, foreground = needed
        labels = _run(passes, kept, system, block, ledger, attributes)
        return labels and replace(labels, foreground=foreground)

    return mending(decode, "decode")


def passes_of(
    probabilities: LazyVolume | Predicted,
    steps: Sequence[NamedSection],
    block: Triple,
    neurons: LazyVolume | None,
) -> list[blockwise.Pass]:
    """The passes of a decoder over a volume; see `decode_by_block`."""
    return blockwise.passes(
        steps,
        shape=probabilities.shape[-3:],
        block_size=block,
        grid=probabilities.grid,
        neurons=None if neurons is None else partial(read, open_neurons(neurons, at_most=0)),
    )


def _run(
    passes: Sequence[blockwise.Pass],
    probabilities: LazyVolume,
    system: SystemSection,
    block: Triple,
    ledger: Ledger,
    attributes: Mapping[str, Any],
) -> LabelsByBlock | None:
    """Do the passes of a decoder that are not done; see `decode_by_block`."""
    folder, parts = ledger.folder, PartsOnDisk(ledger)
    with _naming_for_good(probabilities.source, folder):
        reduced = reduce_passes(passes[:-1], probabilities, ledger, parts, system)
    if reduced is None:
        return None
    state, foreground = reduced
    store = create_sharded(
        folder / f"{LABELS}.zarr",
        probabilities.shape[-3:],
        blockwise.label_dtype(state),
        block,
        grid=probabilities.grid,
        attributes=attributes,
        rule="mode",
    )
    last = passes[-1]
    paint = RunTask(last.name, last.run, probabilities, parts, store)
    tasks, intact = partial(last.tasks, state), partial(is_intact, store)
    if not run_pass(tasks, paint, ledger.of(last.name), system, intact, last=True):
        return None
    store.finish()
    return LabelsByBlock(store, *blockwise.tables_of(state), foreground)


@contextmanager
def _naming_for_good(source: str, folder: Path) -> Iterator[None]:
    """Say of probabilities that no run can finish to decode with these settings what to delete."""
    try:
        yield
    except TooMuchForegroundError as error:
        begun = f"What these settings have begun is in {folder}: delete that to decode with others."
        faults = [replace(one, remedy=f"{one.remedy}\n  {begun}") for one in error.faults]
        with naming(source):
            raise TooMuchForegroundError.of(faults) from error
