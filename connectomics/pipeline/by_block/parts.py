"""Passes of tasks over the blocks of a volume; what each leaves is a part, on the disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

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
from connectomics.errors import DamagedError, Fault
from connectomics.mapping import Part
from connectomics.pipeline.by_block.workers import describe, executor_of, shard_of, unfinished

STATES = "states"
"""Among the markers of a ledger, those of what each pass has found out of the whole volume."""

Made = TypeVar("Made")


@dataclass(frozen=True)
class PartsOnDisk:
    """The parts that the tasks of passes have left. It can be pickled.

    Attributes:
        ledger: Of the labels; it has a marker for each part.
    """

    ledger: Ledger

    def __call__(self, step: str, task: str) -> Part:
        """Read a part.

        Raises:
            DamagedError: It is not as it was written. Its pass will make it again, as what was
                put together of it is forgotten, too.
        """
        marked = self.ledger.of(step)
        try:
            return read_arrays(self.file_of(step, task), marked.facts(task) or {})
        except DamagedError:
            marked.forget(task)
            self.ledger.of(STATES).forget(step)
            raise

    def write(self, step: str, task: str, part: Part) -> Facts:
        """Write a part; gives what its marker is to say."""
        return write_arrays(self.file_of(step, task), part)

    def file_of(self, step: str, task: str) -> Path:
        """Where a part lies."""
        return self.ledger.folder / step / task.partition("_")[0] / f"{task}.npz"

    def is_intact(self, step: str, task: Task, facts: Facts) -> bool:
        """Whether the file of a part is as long as it was; it is summed up where it is read."""
        file = self.file_of(step, task.name)
        return file.is_file() and file.stat().st_size == facts.get("bytes")


def mending(make: Callable[[], Made], what: str) -> Made:
    """Make something of parts; where some are found to be damaged, these are made again first.

    Args:
        make: Makes it, and all parts that are not marked as done.
        what: The work, for messages.

    Raises:
        DamagedError: A part that was made again is damaged, too.
    """
    known: set[Fault] = set()
    while True:
        try:
            return make()
        except DamagedError as error:
            found = [one for one in error.faults if one not in known]
            if not found:
                raise
            known.update(found)
            print(said_of_damage(found, what), flush=True)


def said_of_damage(faults: Sequence[Fault], what: str) -> str:
    """What to say where parts are made again."""
    more = len(faults) - 1
    which = f"{faults[0].where}{f' and {more} more' * (more > 0)}"
    return f"{what}: {which}: not as written; made again"


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
        print(unfinished(missing, what, last=last))
    return not missing and not last
