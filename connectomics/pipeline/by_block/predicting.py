"""Probabilities of a volume, block by block: in this process, in others, or on other machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from connectomics.blocks import (
    BlockGrid,
    Facts,
    Ledger,
    Task,
    facts_of_file,
    open_ledger,
    run_tasks,
)
from connectomics.data.io.sharded import ShardedStore, create_sharded
from connectomics.files import writing_to
from connectomics.geometry import Triple
from connectomics.keeping import set_aside
from connectomics.pipeline.artifact import note_volumes
from connectomics.pipeline.by_block.workers import describe, executor_of, shard_of, unfinished
from connectomics.pipeline.predicted import PredictBox, Predicted
from connectomics.pipeline.results import PROBABILITIES, VolumeResults
from connectomics.process.signals import unbroken


@dataclass(frozen=True)
class PredictBlocks:
    """Predicts a block and writes it."""

    predict: PredictBox
    store: ShardedStore

    def __call__(self, task: Task) -> Facts:
        """Do one block."""
        assert task.box is not None
        predicted, empty = self.predict(task.box)
        return {**facts_of_file(self.store.write(task.box, predicted)), "empty": empty}


def is_intact(store: ShardedStore, task: Task, facts: Facts) -> bool:
    """Whether the file of a block is as long as it was; what is in it is summed up inside."""
    assert task.box is not None
    file = store.file_of(task.box)
    return file.is_file() and file.stat().st_size == facts.get("bytes")


def predict_by_block(
    predicted: Predicted,
    results: VolumeResults,
    block: Triple,
    *,
    attributes: Mapping[str, Any],
    about: str,
) -> bool:
    """Write the probabilities of a volume block by block, or go on with that.

    Args:
        predicted: The probabilities.
        results: The folder of the volume.
        block: (z, y, x) voxels of a block.
        attributes: What the store shall say of itself.
        about: How the probabilities come about.

    Returns:
        Whether they are there now; one shard alone does not put them there.

    Raises:
        DataError: Some blocks failed; all others are done. Or blocks were begun with other parts.
    """
    config, folder = predicted.config, results.in_progress(PROBABILITIES)
    system, grid = config.system, BlockGrid(predicted.volume.shape, block)
    key = predicted.key(block)
    ledger = open_ledger(folder, key.parts, "probabilities")
    note_volumes(ledger, key.volumes)
    predict = predicted.box_of(ledger)
    store = create_sharded(
        folder / f"{PROBABILITIES}.zarr",
        predicted.shape,
        config.inference.save_dtype,
        block,
        grid=predicted.grid,
        attributes=attributes,
    )
    tally = run_tasks(
        lambda: grid,
        PredictBlocks(predict, store),
        ledger,
        what="infer",
        executor=executor_of(system, predicted.predictor.gpus),
        shard=shard_of(system),
        intact=partial(is_intact, store),
        retries=system.executor.retries,
    )
    print(f"infer: {describe(tally, system)}{said_of_empty(tally.counts.get('empty', 0))}")
    if system.shard:
        print(unfinished(_missing(grid, ledger), "infer"))
        return False
    _finish(store, results, about)
    return True


def said_of_empty(count: int) -> str:
    """Blocks that were not predicted have to be said: a network might have seen something there."""
    if not count:
        return ""
    return (
        f"; {count} of them are empty (the image is 0 in all that their windows see, or the mask "
        "is), and have probability 0"
    )


def _missing(grid: BlockGrid, ledger: Ledger) -> int:
    fresh = Ledger(ledger.folder, ledger.stage)
    return sum(not fresh.is_done(one.name) for one in grid)


@unbroken
def _finish(store: ShardedStore, results: VolumeResults, about: str) -> None:
    """Put a whole store in the place of earlier probabilities, which are kept."""
    store.finish()
    _, final = results.forms(PROBABILITIES)
    there = [path for path in results.forms(PROBABILITIES) if path.exists()]
    if there:
        others = [results.config(final), *results.of_probabilities()]
        set_aside(results.folder, [*there, *(path for path in others if path.exists())])
    # The store comes last, and says what it was made from: whoever is killed here puts it there.
    with writing_to(final):
        results.config(final).write_text(about, encoding="utf-8")
        store.path.rename(final)
