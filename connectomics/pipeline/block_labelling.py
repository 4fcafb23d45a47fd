"""Labels of a volume, block by block: the passes of `decoding.blockwise`, run by `blocks`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from connectomics.blocks import (
    Facts,
    Ledger,
    Task,
    facts_of_file,
    open_ledger,
    read_arrays,
    run_tasks,
    write_arrays,
)
from connectomics.config import Config
from connectomics.config.schema import SystemSection
from connectomics.data.io import LazyVolume, open_volume
from connectomics.data.io.sharded import ShardedStore, create_sharded
from connectomics.data.origin import Origin
from connectomics.data.processing import clean_neurons
from connectomics.decoding import blockwise
from connectomics.errors import naming
from connectomics.geometry import Box, Triple
from connectomics.pipeline.block_predicting import is_intact
from connectomics.pipeline.by_block import (
    describe,
    executor_of,
    note_volumes,
    shard_of,
    unfinished,
)
from connectomics.pipeline.results import LABELS

if TYPE_CHECKING:
    import pandas as pd

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
class ReadNeurons:
    """Reads a box of a neuron segmentation; CREMI's marks become 0."""

    neurons: LazyVolume

    def __call__(self, box: Box) -> np.ndarray:
        """Read it."""
        return clean_neurons(self.neurons.read(box), self.neurons.source)


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
    probabilities: LazyVolume
    parts: PartsOnDisk
    store: ShardedStore | None = None

    def __call__(self, task: Any) -> Facts:
        """Do it."""
        from connectomics.compiling import announced_compilation

        with naming(self.probabilities.source), announced_compilation():
            part = self.run(task, self.probabilities.read, self.parts)
        if self.store is None:
            return self.parts.write(self.step, task.name, part)
        return facts_of_file(self.store.write(task.box, part["labels"]))


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
    probabilities: LazyVolume,
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
        probabilities: (C, Z, Y, X), with the voxel size and offset that count.
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
    system, shape = config.system, probabilities.shape[-3:]
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
    reduced = _reduce(steps[:-1], probabilities, ledger, parts, system)
    if reduced is None:
        return None
    state, foreground = reduced
    store = create_sharded(
        folder / f"{LABELS}.zarr",
        shape,
        blockwise.label_dtype(state),
        block,
        resolution=probabilities.resolution,
        offset_nm=probabilities.offset_nm,
        attributes=attributes,
    )
    last = steps[-1]
    work = RunTask(last.name, last.run, probabilities, parts, store)
    intact = partial(is_intact, store)
    if not _run(partial(last.tasks, state), work, ledger.of(last.name), system, intact, last=True):
        return None
    store.finish()
    return LabelsByBlock(store, *blockwise.tables_of(state), foreground)


def _reduce(
    steps: Sequence[blockwise.Pass],
    probabilities: LazyVolume,
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
            if not _run(partial(step.tasks, state), work, ledger.of(step.name), system, intact):
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


def _run(
    tasks: Callable[[], Iterable[Task]],
    work: RunTask,
    ledger: Ledger,
    system: SystemSection,
    intact: Callable[[Task, Facts], bool],
    *,
    last: bool = False,
) -> bool:
    """Do the tasks of a pass; whether the next one can begin."""
    what = f"decode: {work.step}"
    tally = run_tasks(
        tasks,
        work,
        ledger,
        what=what,
        executor=executor_of(system),
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
