"""Whether what is about to be done fits into memory, said before it is begun."""

from __future__ import annotations

from typing import NamedTuple

from connectomics.errors import MachineError
from connectomics.process.memory import available_memory, total_memory, used_memory


class Need(NamedTuple):
    """Bytes that something takes beside what is taken already.

    Attributes:
        predicted: As far as is known.
        least: What it takes in any case.
    """

    predicted: int
    least: int


class Memory(NamedTuple):
    """A memory.

    Attributes:
        of: Whose, such as "this machine".
        used: Bytes that this process has taken already.
        free: Bytes that are left.
        total: Bytes in all, those that others use among them; None where nobody says.
    """

    of: str
    used: int
    free: int
    total: int | None


def memory_of_machine() -> Memory:
    """The memory of this machine, or what a container leaves of it."""
    return Memory("this machine", used_memory(), available_memory(), total_memory())


def require_room(need: Need, memory: Memory, what: str, remedy: str) -> tuple[str, str]:
    """Refuse what cannot fit.

    Args:
        need: What is needed.
        memory: Where.
        what: What needs it, such as "training".
        remedy: How it would need less.

    Returns:
        A line that says how much it will be, and a warning, which is empty where that is free.

    Raises:
        MachineError: Even the least is more than there is, whoever uses it.

    >>> gpu = Memory("the GPU", used=0, free=2**33, total=2**34)
    >>> require_room(Need(2**32, 2**31), gpu, "training", "")[0]
    'memory: 4.0 GiB predicted of the 16.0 GiB of the GPU, of which 8.0 GiB are free'
    >>> require_room(Need(2**36, 2**35), gpu, "training", "Set batch_size=1.")
    Traceback (most recent call last):
    connectomics.errors.MachineError: MachineError: memory: training takes at least 32.0 GiB, and \
the GPU has 16.0 GiB.
      Set batch_size=1.
    """
    least, predicted = need.least + memory.used, need.predicted + memory.used
    if memory.total is not None and least > memory.total:
        has = f"{memory.of} has {_gib(memory.total)}"
        raise MachineError("memory", f"{what} takes at least {_gib(least)}, and {has}.", remedy)
    line = f"memory: {_gib(predicted)} predicted, and {_gib(memory.free)} of {memory.of} are free"
    if memory.total:
        total = f"of the {_gib(memory.total)} of {memory.of}, of which {_gib(memory.free)} are free"
        line = f"memory: {_gib(predicted)} predicted {total}"
    if need.predicted <= memory.free:
        return line, ""
    more = f"{what} is predicted to take {_gib(need.predicted)} more than is taken already"
    return line, f"memory may run out: {more}, and {_gib(memory.free)} are free. {remedy}"


def _gib(count: float) -> str:
    return f"{count / 2**30:,.1f} GiB"
