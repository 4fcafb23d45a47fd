"""Volumes are looked at by whoever works on blocks, and what is found out of them is kept.

It is put together here, in this process. It lies where scores, the report or probabilities are
begun until these are whole, so that a command that was stopped goes on.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from connectomics.blocks import (
    Facts,
    Ledger,
    UnfinishedError,
    begin_anew,
    discard,
    open_ledger,
    parts_begun,
    working_on,
)
from connectomics.blocks.ledger import write_whole
from connectomics.config.schema import SystemSection
from connectomics.data.cache_key import CacheKey
from connectomics.digests import changes, digest
from connectomics.errors import DamagedError, DataError
from connectomics.files import writing_to
from connectomics.geometry import Box
from connectomics.mapping import Part, Work, map_here, mapped_by
from connectomics.pipeline.artifact import note_volumes
from connectomics.pipeline.by_block.parts import PartsOnDisk, run_pass, said_of_damage
from connectomics.pipeline.by_block.workers import shard_of

VOLUMES = "volumes"
"""Of what is begun, what was read of volumes to know them."""

FEW_VOXELS = 2**28
"""So many are looked at here, in half a minute: no others need be asked, and nothing is kept."""

TASK_VOXELS = 2**26
"""Blocks that lie side by side are a task up to so many: some seconds of work."""


def counted_by_block(
    folder: Path, key: CacheKey, system: SystemSection, what: str
) -> AbstractContextManager[None]:
    """Within it, blocks of label volumes are looked at by `system.executor`.

    Args:
        folder: Where an artifact is begun; what is found out of each block is kept there.
        key: What that depends on; what was found out for another key goes.
        system: Who looks at blocks.
        what: The artifact, for messages.
    """
    return mapped_by(_ByBlock(partial(_begun, folder, key, system, what), system, what))


def noted_by_block(
    ledger: Ledger, system: SystemSection, what: str
) -> AbstractContextManager[None]:
    """Within it, blocks of volumes are looked at by `system.executor`.

    Args:
        ledger: Of an artifact that is begun, which depends on all that they are looked at for.
        system: Who looks at blocks.
        what: The artifact, for messages.
    """
    return mapped_by(_ByBlock(lambda: ledger, system, what))


def _begun(folder: Path, key: CacheKey, system: SystemSection, what: str) -> Ledger:
    if system.shard is None:  # others may be at work: there it is refused
        try:
            begun = parts_begun(folder)
            other = begun is not None and digest(begun) != key.digest
            why = "; ".join(changes(begun, key.parts)) if other else ""
        except DataError as error:
            other, why = True, error.faults[0].problem
        if other:
            print(f"{what}: all blocks anew: {why}")
            begin_anew(folder)
    ledger = open_ledger(folder, key.parts, "counts")
    note_volumes(ledger, key.volumes)
    return ledger


@contextmanager
def known_by_block(folder: Path, system: SystemSection, what: str, *, kept: bool) -> Iterator[None]:
    """Within it, what is read of volumes to know them is read by `system.executor`.

    Args:
        folder: Where the sums of their columns are kept; they hold while files are as they were.
        system: Who reads them.
        what: What they are read for, for messages.
        kept: Whether they stay there when all are known.

    Raises:
        MachineError: Another command does.
    """
    with ExitStack() as stack:

        def begun() -> Ledger:
            stack.enter_context(working_on(folder, shard_of(system)))
            if not kept:
                stack.push(lambda fault, *_: None if fault else discard(folder))
            return Ledger(folder)

        with mapped_by(_ByBlock(begun, system, what)):
            yield


@dataclass(frozen=True)
class SomeBlocks:
    """A task: blocks that lie side by side.

    Attributes:
        name: By its place among all.
        box: All of them.
        boxes: Each.
        given: What is given with each, if anything is.
    """

    name: str
    box: Box
    boxes: Sequence[Box]
    given: Sequence[Any] | None


@dataclass(frozen=True)
class LookAtBlocks:
    """Does a task, in whatever process, and writes what it has found out.

    Attributes:
        file: What looks at a block, pickled: as long as it may be, each process reads it once.
        sum: Of that file. What this command has not written itself, it does not run.
        step: The name of the pass.
        parts: Where it is written.
    """

    file: Path
    sum: str
    step: str
    parts: PartsOnDisk

    def __call__(self, task: Any) -> Facts:
        """Do it."""
        work = _unpickled(self.file, self.sum, self.parts.ledger.key)
        found: dict[str, np.ndarray] = {}
        for i, box in enumerate(task.boxes):
            given = () if task.given is None else (task.given[i],)
            found |= {f"{i}.{name}": array for name, array in work(box, *given).items()}
        return self.parts.write(self.step, task.name, found)


def _packed(work: Work, folder: Path) -> tuple[Path, str]:
    """Write down what looks at a block; gives the file, and its sum."""
    packed = pickle.dumps(work)
    known = hashlib.sha256(packed).hexdigest()
    file = folder.absolute() / f"{known[:16]}.pickle"
    if not file.exists() or file.read_bytes() != packed:
        with writing_to(file):
            folder.mkdir(exist_ok=True)
            write_whole(file, packed)
    return file, known


@lru_cache(maxsize=1)
def _unpickled(file: Path, expected: str, key: str) -> Work:
    """What looks at blocks; with another key its volumes are others, whatever they are called."""
    packed = file.read_bytes()
    if hashlib.sha256(packed).hexdigest() != expected:
        raise DataError(str(file), "was changed.", "Give the same command again.")
    return pickle.loads(packed)


@dataclass(frozen=True)
class _ByBlock:
    """A mapper, see `mapping`."""

    begun: Callable[[], Ledger]
    system: SystemSection
    what: str

    def __call__(
        self, work: Work, boxes: Sequence[Box], what: str, given: Sequence[Any] | None
    ) -> Iterator[Part]:
        if sum(box.size for box in boxes) <= FEW_VOXELS:
            yield from map_here(work, boxes, what, given)
            return
        ledger, step = self._ledger, _name(what, work, boxes, given)
        parts, tasks = PartsOnDisk(ledger), list(tasks_of(boxes, given))
        look = LookAtBlocks(*_packed(work, ledger.folder / step), step, parts)
        self._look(look, tasks, what)
        for task in tasks:
            try:
                found = parts(step, task.name)
            except DamagedError as error:
                print(said_of_damage(error.faults, self.what), flush=True)
                self._look(look, tasks, what)
                found = parts(step, task.name)
            yield from _apart(found, len(task.boxes))

    def _look(self, look: LookAtBlocks, tasks: Sequence[SomeBlocks], what: str) -> None:
        """Do the tasks that are not done.

        Raises:
            UnfinishedError: Other shards have tasks to do.
        """
        step, parts, said = look.step, look.parts, f"{self.what}: {what}"
        marked, intact = parts.ledger.of(step), partial(parts.is_intact, step)
        try:
            whole = run_pass(lambda: tasks, look, marked, self.system, intact, what=said)
        finally:
            _unpickled.cache_clear()
        if not whole:
            raise UnfinishedError

    @cached_property
    def _ledger(self) -> Ledger:
        """Begun by the first pass that is worth it."""
        return self.begun()


def _name(what: str, work: Work, boxes: Sequence[Box], given: Sequence[Any] | None) -> str:
    """The name of a pass: by all that it does, so that it is never taken for another."""
    asked = _Sum()
    pickler = pickle.Pickler(asked)
    pickler.fast = True  # the same bytes whether equal values are one object or several
    pickler.dump((work, list(boxes), given))
    return f"{what.replace(' ', '_')}-{asked.sum.hexdigest()[:16]}"


class _Sum:
    """A file that sums up what is written to it."""

    def __init__(self) -> None:
        self.sum = hashlib.sha256()

    def write(self, data: Any) -> None:
        self.sum.update(data)


def tasks_of(boxes: Sequence[Box], given: Sequence[Any] | None) -> Iterator[SomeBlocks]:
    """Blocks in their order, those together that make up a box."""
    first, around = 0, boxes[0]
    for i in range(1, len(boxes) + 1):
        larger = _around(around, boxes[i]) if i < len(boxes) else None
        if larger and larger.size == around.size + boxes[i].size <= TASK_VOXELS:
            around = larger
            continue
        more = None if given is None else given[first:i]
        yield SomeBlocks(f"{first // 1000:05d}_{first:08d}", around, boxes[first:i], more)
        first, around = i, boxes[min(i, len(boxes) - 1)]


def _around(first: Box, second: Box) -> Box:
    start = np.minimum(first.start, second.start).tolist()
    return Box(tuple(start), tuple(np.maximum(first.stop, second.stop).tolist()))


def _apart(found: Part, blocks: int) -> Iterator[Part]:
    """What was found out of each block of a task."""
    parts: list[dict[str, Any]] = [{} for _ in range(blocks)]
    for place, array in found.items():
        number, _, name = place.partition(".")
        parts[int(number)][name] = array
    return iter(parts)
