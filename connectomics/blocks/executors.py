"""Where tasks are done. An executor takes tasks one by one and tells what became of each.

`ThisProcess` is the simplest; `processes.LocalProcesses` and `cluster.DaskCluster` do the same
elsewhere. None takes more tasks than it has in hand, so that millions never exist at once.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from connectomics.blocks.ledger import Facts
from connectomics.errors import ConnectomicsError, Fault, StoreError
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
    """

    task: Task
    facts: Facts | None = None
    fault: Fault | None = None
    trace: str = ""
    of_store: bool = False


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
        return Outcome(task, fault=error.faults[0], of_store=isinstance(error, StoreError))
    except Exception as error:
        refused = machine_error(error)
        if refused is not None:
            return Outcome(task, fault=refused.faults[0])
        fault = Fault(type(error).__name__, str(error) or "no message")
        return Outcome(task, fault=fault, trace=traceback.format_exc())
