"""Probabilities of a volume, block by block: in this process, in others, or on other machines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from connectomics.blocks import (
    Block,
    BlockGrid,
    Facts,
    Ledger,
    Task,
    facts_of_file,
    open_ledger,
    run_tasks,
)
from connectomics.data.io.sharded import ShardedStore, copy_empty, create_sharded, open_sharded
from connectomics.files import require_writable, writing_to
from connectomics.geometry import Box, Triple
from connectomics.keeping import set_aside
from connectomics.pipeline.artifact import note_volumes
from connectomics.pipeline.by_block.lost import is_noted, lost_blocks, put_back
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
        return {**write_block(self.store, task.box, predicted), "empty": empty}


def write_block(store: ShardedStore, box: Box, values: np.ndarray) -> Facts:
    """Write a block; gives what its marker is to say."""
    file = store.write(box, values)
    return {**facts_of_file(file), "coarser": store.coarser_bytes(box)}


def is_intact(store: ShardedStore, task: Task, facts: Facts) -> bool:
    """Whether the files of a block are as long as they were; what is inside is summed up there."""
    assert task.box is not None
    file = store.file_of(task.box)
    whole = file.is_file() and file.stat().st_size == facts.get("bytes")
    coarser = store.coarser_bytes(task.box) == facts.get("coarser", [])
    return whole and coarser and not is_noted(file)


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
    ledger = _begin(predicted, results, block)
    store = create_sharded(
        ledger.folder / f"{PROBABILITIES}.zarr",
        predicted.shape,
        predicted.config.inference.save_dtype,
        block,
        grid=predicted.grid,
        attributes=attributes,
        rule="mean",
    )
    grid = BlockGrid(predicted.volume.shape, block)
    if not _predict(predicted, ledger, store, grid):
        return False
    _finish(store, results, about)
    return True


def mend_by_block(predicted: Predicted, results: VolumeResults, block: Triple) -> bool:
    """Predict the blocks again that finished probabilities have lost; as `predict_by_block`.

    They are made beside them, and then take their places one by one.
    """
    require_writable(results.forms(PROBABILITIES)[1])  # before anything is predicted
    ledger = _begin(predicted, results, block)
    finished = open_sharded(results.forms(PROBABILITIES)[1])
    assert finished is not None
    store = copy_empty(finished, ledger.folder / f"{PROBABILITIES}.zarr")
    lost = lost_blocks(finished)
    if not _predict(predicted, ledger, store, lost):
        return False
    with writing_to(finished.path):
        for one in lost:
            put_back(finished, one, store)
    return True


def _begin(predicted: Predicted, results: VolumeResults, block: Triple) -> Ledger:
    key = predicted.key(block)
    ledger = open_ledger(results.in_progress(PROBABILITIES), key.parts, "probabilities")
    note_volumes(ledger, key.volumes)
    return ledger


def _predict(
    predicted: Predicted, ledger: Ledger, store: ShardedStore, blocks: Iterable[Block]
) -> bool:
    """Predict blocks that are not done; False where this is done by one shard of several."""
    system, predict = predicted.config.system, predicted.box_of(ledger)
    tally = run_tasks(
        lambda: blocks,
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
        print(unfinished(_missing(blocks, ledger), "infer", last=True))
    return system.shard is None


def said_of_empty(count: int) -> str:
    """Blocks that were not predicted have to be said: a network might have seen something there."""
    if not count:
        return ""
    return (
        f"; {count} of them are empty (the image is 0 in all that their windows see, or the mask "
        "is), and have probability 0"
    )


def _missing(blocks: Iterable[Block], ledger: Ledger) -> int:
    fresh = Ledger(ledger.folder, ledger.stage)
    return sum(not fresh.is_done(one.name) for one in blocks)


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
