"""Where tasks are done. An executor takes tasks one by one and tells what became of each.

`ThisProcess` is the simplest; `processes.LocalProcesses` and `cluster.DaskCluster` do the same
elsewhere. None takes more tasks than it has in hand, so that millions never exist at once.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from connectomics.blocks.ledger import Facts
from connectomics.errors import ConnectomicsError, DamagedError, Fault, StoreError
from connectomics.geometry import Box
from connectomics.process.failures import machine_error


class Task(Protocol):
    """A piece of work that can be pickled."""

    @property
    def name(self) -> str:
        """Unique in its stage, and fit for a file name."""
        ...

    @property
    def box(self) -> Box | None:
        """The block that it is about, where it is about one."""
        ...


Work = Callable[[Task], Facts]
"""Does a task and says what it wrote. Can be pickled, and opens what it needs at the first task."""


@dataclass(frozen=True)
class Outcome:
    """What became of a task.

    Attributes:
        task: The task.
        facts: What it wrote, where it was done.
        fault: Why it was not.
        trace: The lines of Python, where the fault is one of the program.
        of_store: Whether the fault is one of the store that is read, and none of the task.
        damaged: Whether the fault is that of a file that was written before, and is made again.
    """

    task: Task
    facts: Facts | None = None
    fault: Fault | None = None
    trace: str = ""
    of_store: bool = False
    damaged: bool = False


class Executor(Protocol):
    """Does tasks somewhere."""

    def map(self, work: Work, tasks: Iterable[Task]) -> Iterator[Outcome]:
        """Do tasks, in any order; take them one by one, as there is room for them."""
        ...


class ThisProcess:
    """Does one task after another, here."""

    def map(self, work: Work, tasks: Iterable[Task]) -> Iterator[Outcome]:
        """See `Executor`."""
        for task in tasks:
            yield attempt(work, task)


def attempt(work: Work, task: Task) -> Outcome:
    """Do a task; what goes wrong with it is no reason not to do others."""
    try:
        return Outcome(task, work(task))
    except ConnectomicsError as error:
        store, damaged = isinstance(error, StoreError), isinstance(error, DamagedError)
        return Outcome(task, fault=error.faults[0], of_store=store, damaged=damaged)
    except Exception as error:
        refused = machine_error(error)
        if refused is not None:
            return Outcome(task, fault=refused.faults[0])
        fault = Fault(type(error).__name__, str(error) or "no message")
        return Outcome(task, fault=fault, trace=traceback.format_exc())


class _Kept:
    """Workers that wait for the next pass, of one executor."""

    def __init__(self) -> None:
        self.executor: Executor | None = None
        self.workers: Any = None
        self.stack = ExitStack()

    def end(self) -> None:
        self.executor = self.workers = None
        self.stack.close()


_kept: _Kept | None = None


@contextmanager
def keeping_workers() -> Iterator[None]:
    """Within it, workers that were started for one pass stay for the next of the same executor.

    Otherwise a cluster would be asked for its jobs again for every pass.
    """
    global _kept
    if _kept is not None:
        yield
        return
    _kept = _Kept()
    try:
        yield
    finally:
        kept, _kept = _kept, None
        kept.end()


def end_workers() -> None:
    """End those that wait: what comes next has no use for them."""
    if _kept is not None:
        _kept.end()


@contextmanager
def started(executor: Executor, start: Callable[[], AbstractContextManager[Any]]) -> Iterator[Any]:
    """The workers of an executor: those that wait, or new ones.

    Args:
        executor: It.
        start: Starts them, and ends them.
    """
    if _kept is None:
        with start() as workers:
            yield workers
        return
    if _kept.executor != executor:
        _kept.end()
        _kept.workers = _kept.stack.enter_context(start())
        _kept.executor = executor
    try:
        yield _kept.workers
    except BaseException:  # some may have tasks in hand that nobody waits for any more
        end_workers()
        raise
