"""Passes of tasks over the blocks of a volume, each done once; what they leave lies on the disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from connectomics.blocks import (
    Facts,
    Ledger,
    Task,
    Work,
    read_arrays,
    run_tasks,
    write_arrays,
)
from connectomics.config.schema import SystemSection
from connectomics.data.cache_key import reading_result
from connectomics.data.io import LazyVolume
from connectomics.data.io.sharded import ShardedStore
from connectomics.decoding import blockwise
from connectomics.errors import naming
from connectomics.geometry import Box
from connectomics.pipeline.by_block.lost import read_or_note
from connectomics.pipeline.by_block.predicting import write_block
from connectomics.pipeline.by_block.workers import describe, executor_of, shard_of, unfinished
from connectomics.pipeline.predicted import PredictBox

STATES = "states"
"""Among the markers of a ledger, those of what each pass has found out of the whole volume."""


@dataclass(frozen=True)
class PartsOnDisk:
    """The parts that the tasks of passes have left. It can be pickled.

    Attributes:
        ledger: Of the labels; it has a marker for each part.
    """

    ledger: Ledger

    def __call__(self, step: str, task: str) -> blockwise.Part:
        """Read a part."""
        facts = self.ledger.of(step).facts(task)
        return read_arrays(self.file_of(step, task), facts or {})

    def write(self, step: str, task: str, part: blockwise.Part) -> Facts:
        """Write a part; gives what its marker is to say."""
        return write_arrays(self.file_of(step, task), part)

    def file_of(self, step: str, task: str) -> Path:
        """Where a part lies."""
        return self.ledger.folder / step / task.partition("_")[0] / f"{task}.npz"

    def is_intact(self, step: str, task: Task, facts: Facts) -> bool:
        """Whether the file of a part is as long as it was; it is summed up where it is read."""
        file = self.file_of(step, task.name)
        return file.is_file() and file.stat().st_size == facts.get("bytes")


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


def run_pass(
    tasks: Callable[[], Iterable[Task]],
    work: Work,
    ledger: Ledger,
    system: SystemSection,
    intact: Callable[[Task, Facts], bool],
    *,
    gpus: int = 0,
    last: bool = False,
    what: str = "",
) -> bool:
    """Do the tasks of the pass that a ledger is of; whether the next one can begin.

    Args:
        tasks: Lists them.
        work: Does one.
        ledger: Where they are marked.
        system: Who does them.
        intact: Whether what a marked task wrote is still there.
        gpus: How many GPUs the work is for.
        last: Whether no pass comes after it.
        what: The pass, for messages; one of decoding unless given.
    """
    what = what or f"decode: {ledger.stage}"
    tally = run_tasks(
        tasks,
        work,
        ledger,
        what=what,
        executor=executor_of(system, gpus),
        shard=shard_of(system),
        intact=intact,
        retries=system.executor.retries,
    )
    print(f"{what}: {describe(tally, system)}")
    if system.shard is None:
        return True
    fresh = Ledger(ledger.folder, ledger.stage)
    missing = sum(not fresh.is_done(task.name) for task in tasks())
    if missing or last:
        print(unfinished(missing, what))
    return not missing and not last
