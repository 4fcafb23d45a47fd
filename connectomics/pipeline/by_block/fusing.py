"""Probabilities that are predicted to be decoded, and not kept.

A volume that is not cut is predicted into memory. Of each block of another one, what decoding will
read is written beside the labels that are begun (`blockwise.needed`), and goes when these are
whole. The network sees each block once, but for the few that were cleared by too high a threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from connectomics.blocks import Facts, Ledger, Task, facts_of_file
from connectomics.config.schema import NamedSection
from connectomics.data.cache_key import DIGEST
from connectomics.data.io import LazyVolume, open_volume
from connectomics.data.io.sharded import ShardedStore, create_sharded
from connectomics.decoding import blockwise
from connectomics.decoding.levels import AS_THEY_ARE, Levels
from connectomics.errors import naming
from connectomics.geometry import Triple
from connectomics.pipeline.by_block.lost import lacks_blocks
from connectomics.pipeline.by_block.parts import STATES, PartsOnDisk, run_pass
from connectomics.pipeline.by_block.passes import reduce_passes
from connectomics.pipeline.by_block.predicting import is_intact, said_of_empty
from connectomics.pipeline.predicted import PredictBox, Predicted
from connectomics.pipeline.results import PROBABILITIES

PREDICT, AGAIN = "predict", "predict_again"
"""Passes that come before those of the decoder."""


@dataclass(frozen=True)
class PredictNeeded:
    """Predicts a block, and writes what decoding will read of it.

    Attributes:
        predict: Predicts it.
        needed: Tells what will be read.
        store: Where blocks are written.
        parts: Where the part of the pass "thresholds" is written.
        counting: That pass, which reads a block as it was predicted; None where there is none.
        levels: Those of the volume, once they are known.
    """

    predict: PredictBox
    needed: blockwise.Needed
    store: ShardedStore
    parts: PartsOnDisk
    counting: blockwise.Pass | None
    levels: Levels | None = None

    def __call__(self, task: Task) -> Facts:
        """Do one block."""
        from connectomics.compiling import announced_compilation

        assert task.box is not None
        block, empty = self.predict(task.box)
        with naming(self.predict.source), announced_compilation():
            levels = self.levels or self._levels(task, block)
            facts = {
                "empty": empty,
                "foreground": self.needed.foreground(block),
                "bound": self.needed.bound(levels),
                "kept": self.needed.clear(block, task.box, levels),
            }
        return {**facts_of_file(self.store.write(task.box, block)), **facts}

    def _levels(self, task: Any, block: np.ndarray) -> Levels:
        """Count the values of a block before any are cleared."""
        if self.counting is None:
            return AS_THEY_ARE
        part = self.counting.run(task, lambda box: block, self.parts)
        facts = self.parts.write(self.counting.name, task.name, part)
        self.parts.ledger.of(self.counting.name).mark(task.name, facts)
        return self.needed.levels_of_block(part["counts"])


def predict_needed(
    predicted: Predicted,
    steps: Sequence[NamedSection],
    plan: Sequence[blockwise.Pass],
    ledger: Ledger,
    block: Triple,
) -> tuple[LazyVolume, int] | None:
    """Predict what the passes of a decoder will read, or go on with that.

    Args:
        predicted: The probabilities.
        steps: The decoder.
        plan: Its passes.
        ledger: Of the labels.
        block: (z, y, x) voxels of a block.

    Returns:
        A volume that is as good as the probabilities to these passes, and the voxels that are
        likelier synapse than not; None where other shards have blocks to do.

    Raises:
        DataError: Some blocks failed; all others are done.
    """
    parts, system, gpus = PartsOnDisk(ledger), predicted.config.system, predicted.predictor.gpus
    store = create_sharded(
        ledger.folder / f"{PROBABILITIES}.zarr",
        predicted.shape,
        predicted.dtype,
        block,
        grid=predicted.grid,
        attributes={"channels": predicted.predictor.channels, DIGEST: ledger.key},
    )
    needed = blockwise.needed(steps, predicted.volume.shape, predicted.resolution)
    predict, counting = predicted.box_of(ledger), plan[0] if needed.adapts else None
    work = PredictNeeded(predict, needed, store, parts, counting)
    intact, tasks = partial(is_intact, store), partial(plan[0].tasks, {})
    if ledger.of(STATES).facts(PREDICT) is None or lacks_blocks(store.path):
        predicted.announce(block)
        if not run_pass(tasks, work, ledger.of(PREDICT), system, intact, gpus=gpus):
            return None
        found = _sum_up([ledger.of(PREDICT).facts(task.name) or {} for task in tasks()])
        ledger.of(STATES).mark(PREDICT, parts.write(STATES, PREDICT, found))
        print(_said(found, predicted.volume.shape))
    found = parts(STATES, PREDICT)
    if counting is not None:
        reduced = reduce_passes([counting], predict, ledger, parts, system)
        if reduced is None:
            return None
        levels = Levels(*map(float, reduced[0]["levels"]))
        low = found["bound"] > needed.bound(levels)
        work, again = replace(work, levels=levels), partial(_those, tasks, low)
        if low.any() and not run_pass(again, work, ledger.of(AGAIN), system, intact, gpus=gpus):
            return None
    return open_volume(store.path), int(found["foreground"])


def _those(tasks: Callable[[], Iterable[Task]], wanted: np.ndarray) -> Iterator[Task]:
    return (task for task, this in zip(tasks(), wanted, strict=True) if this)


def _sum_up(facts: Sequence[Facts]) -> dict[str, np.ndarray]:
    found = {"bound": np.array([one["bound"] for one in facts])}
    for name in ("foreground", "kept", "empty"):
        found[name] = np.array(sum(int(one[name]) for one in facts))
    return found


def _said(found: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> str:
    share = int(found["kept"]) / float(np.prod(shape))
    return (
        f"decode: predict: {share:.1%} of the voxels are kept until all is decoded"
        f"{said_of_empty(int(found['empty']))}"
    )
