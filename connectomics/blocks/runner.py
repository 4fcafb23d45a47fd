"""Tasks are done wherever an executor does them; what is done is marked, what fails is listed."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from connectomics.blocks.executors import Executor, Outcome, Task, ThisProcess, Work
from connectomics.blocks.ledger import Facts, Ledger
from connectomics.blocks.lock import Shard
from connectomics.errors import DamagedError, DataError, Fault
from connectomics.process.progress import Progress
from connectomics.process.signals import Stopped

AT_MOST_LISTED = 20
HOPELESS = 50
"""So many failures without a single success, and the rest is not tried."""

AWAY = 3
"""So many failures one after the other of the store that is read, and the rest is not tried."""


@dataclass(frozen=True)
class Marked:
    """Does a task and marks it as done, in the process that did it."""

    work: Work
    ledger: Ledger

    def __call__(self, task: Task) -> Facts:
        """Do it."""
        self.ledger.require_begun()
        facts = self.work(task)
        self.ledger.mark(task.name, facts)
        return facts


@dataclass
class Tally:
    """What a run has done.

    Attributes:
        total: Tasks there are, those of other shards not counted.
        earlier: Tasks that had been done before.
        done: Tasks done now.
        damaged: Tasks of these that had been done before, and what they wrote was not there whole.
        counts: How many of these noted something, by what they noted (a fact that is True).
        failed: Tasks that could not be done, each with the last that went wrong.
        away: How many failed last, one after the other, by the store that is read.
    """

    total: int = 0
    earlier: int = 0
    done: int = 0
    damaged: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    failed: list[Outcome] = field(default_factory=list)
    away: int = 0

    @property
    def damage(self) -> list[Fault]:
        """What was found damaged of what was written before, each once; it is made again first."""
        faults = (one.fault for one in self.failed if one.damaged)
        return list(dict.fromkeys(filter(None, faults)))

    @property
    def hopeless(self) -> bool:
        """Whether there is no use in trying more."""
        return self.away >= AWAY or (not self.done and len(self.failed) >= HOPELESS)


def run_tasks(
    tasks: Callable[[], Iterable[Task]],
    work: Work,
    ledger: Ledger,
    *,
    what: str,
    executor: Executor | None = None,
    shard: Shard | None = None,
    intact: Callable[[Task, Facts], bool] | None = None,
    retries: int = 2,
) -> Tally:
    """Do what is not done yet.

    Args:
        tasks: Lists them, one by one, the same each time.
        work: Does one.
        ledger: Where they are marked.
        what: The work, for messages.
        executor: Where they are done; in this process unless given.
        shard: The share to do; all unless given.
        intact: Whether what a marked task wrote is still there, at a glance.
        retries: How often a task that failed is tried again, after all others.

    Raises:
        DamagedError: What an earlier pass has left for some is not as it was written.
        DataError: Some failed, each with its reason; all others are done.
    """
    executor = executor or ThisProcess()
    tally = Tally(total=sum(1 for _ in _share(tasks(), shard)))
    progress = Progress(what, tally.total, rate="voxels")

    def pending() -> Iterator[Task]:
        for task in _share(tasks(), shard):
            if _is_done(task, ledger, intact, tally):
                progress.skip()
            elif not tally.hopeless:
                yield task

    marked, todo = Marked(work, ledger), pending()
    try:
        with progress:
            for _ in range(retries + 1):
                tally.failed = []
                for outcome in executor.map(marked, todo):
                    _count(outcome, tally, progress)
                if not tally.failed or tally.hopeless or tally.damage:
                    break
                todo = iter([outcome.task for outcome in tally.failed])
    except Stopped as stopped:
        note = f"{progress.done} of {tally.total} blocks are done; the same command goes on."
        raise Stopped(stopped.signal, note) from stopped
    if tally.damage:
        raise DamagedError.of(tally.damage)
    if tally.failed:
        raise DataError.of([_failure(tally, ledger, what)])
    return tally


def is_done(
    task: Task, ledger: Ledger, intact: Callable[[Task, Facts], bool] | None = None
) -> bool:
    """Whether a task is marked as done, and what it wrote is still there."""
    if not ledger.is_done(task.name):
        return False
    facts = ledger.facts(task.name)
    return facts is not None and (intact is None or intact(task, facts))


def _is_done(
    task: Task, ledger: Ledger, intact: Callable[[Task, Facts], bool] | None, tally: Tally
) -> bool:
    """Whether a task was done before; one whose files are not whole is made again."""
    if not ledger.is_done(task.name):
        return False
    if is_done(task, ledger, intact):
        tally.earlier += 1
        return True
    ledger.forget(task.name)
    tally.damaged += 1
    return False


def _count(outcome: Outcome, tally: Tally, progress: Progress) -> None:
    tally.away = tally.away + 1 if outcome.of_store else 0
    if outcome.fault is not None:
        tally.failed.append(outcome)
        return
    tally.done += 1
    for name, value in (outcome.facts or {}).items():
        if value is True:
            tally.counts[name] = tally.counts.get(name, 0) + 1
    progress.add(work=outcome.task.box.size if outcome.task.box else 0)


def _share(tasks: Iterable[Task], shard: Shard | None) -> Iterator[Task]:
    if shard is None:
        return iter(tasks)
    return itertools.islice(tasks, shard.index, None, shard.count)


def _failure(tally: Tally, ledger: Ledger, what: str) -> Fault:
    for outcome in tally.failed:
        if outcome.trace:
            print(outcome.trace, file=sys.stderr)  # one fault of the program is told in full
            break
    left = tally.total - tally.earlier - tally.done - len(tally.failed)
    away = f"as the store that is read failed {tally.away} times in a row"
    why = away if tally.away >= AWAY else "as none was done"
    rest = f"{left} were not tried, {why}" if left else "all others are done"
    lines = [_line(outcome) for outcome in tally.failed[:AT_MOST_LISTED]]
    more = len(tally.failed) - len(lines)
    lines += [f"... and {more} more"] * (more > 0)
    problem = f"{what}: {len(tally.failed)} of {tally.total} blocks failed; {rest}."
    listed = "\n".join(f"    {line}" for line in lines)
    again = "Put that right, and give the same command again: it makes only what is not done."
    return Fault(str(ledger.folder), problem, f"{listed.lstrip()}\n  {again}")


def _line(outcome: Outcome) -> str:
    task, fault = outcome.task, outcome.fault
    place = f" (from voxel {task.box.start} to {task.box.stop})" if task.box else ""
    return f"{task.name}{place}: {str(fault).replace(chr(10), ' ')}"
