"""The passes of a decoder over the blocks of a volume, each done once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from connectomics.blocks import Facts, Ledger
from connectomics.config.schema import SystemSection
from connectomics.data.cache_key import reading_result
from connectomics.data.io import LazyVolume
from connectomics.data.io.sharded import ShardedStore
from connectomics.decoding import blockwise
from connectomics.errors import naming
from connectomics.geometry import Box
from connectomics.pipeline.by_block.lost import read_or_note
from connectomics.pipeline.by_block.parts import STATES, PartsOnDisk, run_pass
from connectomics.pipeline.by_block.predicting import write_block
from connectomics.pipeline.predicted import PredictBox


@dataclass(frozen=True)
class RunTask:
    """Does a task of a pass, in whatever process, and writes what it leaves.

    Attributes:
        step: The name of the pass.
        run: What it does.
        probabilities: The whole volume.
        parts: Where parts are read and written.
        store: Where labels are written; None for other passes than the last.
    """

    step: str
    run: Callable[..., blockwise.Part]
    probabilities: LazyVolume | PredictBox
    parts: PartsOnDisk
    store: ShardedStore | None = None

    def __call__(self, task: Any) -> Facts:
        """Do it."""
        from connectomics.compiling import announced_compilation

        source = self.probabilities.source
        with naming(source), reading_result(Path(source), "infer"), announced_compilation():
            part = self.run(task, self._read, self.parts)
        if self.store is None:
            return self.parts.write(self.step, task.name, part)
        return write_block(self.store, task.box, part["labels"])

    def _read(self, box: Box) -> np.ndarray:
        if isinstance(self.probabilities, LazyVolume):
            return read_or_note(self.probabilities, box)
        return self.probabilities.read(box)


def reduce_passes(
    steps: Sequence[blockwise.Pass],
    probabilities: LazyVolume | PredictBox,
    ledger: Ledger,
    parts: PartsOnDisk,
    system: SystemSection,
) -> tuple[blockwise.State, int] | None:
    """Do the passes before the last, but those that are done.

    Returns:
        The state after them, and the voxels of foreground; None where other shards have blocks
        to do.
    """
    state: blockwise.State = {}
    foreground = 0
    for step in steps:
        known = ledger.of(STATES).facts(step.name)
        if known is not None:
            state = parts(STATES, step.name)
        else:
            work = RunTask(step.name, step.run, probabilities, parts)
            intact = partial(parts.is_intact, step.name)
            if not run_pass(partial(step.tasks, state), work, ledger.of(step.name), system, intact):
                return None
            state = step.combine(state, _parts_of(step, state, parts))
            ledger.of(STATES).mark(step.name, parts.write(STATES, step.name, state))
        foreground = int(state.get("foreground", foreground))  # later passes need not hand it on
    return state, foreground


def _parts_of(
    step: blockwise.Pass, state: blockwise.State, parts: PartsOnDisk
) -> Iterator[tuple[blockwise.Task, blockwise.Part]]:
    for task in step.tasks(state):
        yield task, parts(step.name, task.name)
