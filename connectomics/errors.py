"""What a user can get wrong, said so that they can put it right.

Every error names the place, the problem and the remedy. `connectomics.process.outcome` prints it
and leaves with exit code 2; nothing else in the package turns an error into a message. What may
be a mistake and stops nothing is a `DataWarning`.
"""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        where: The place: a file, a key of the config, an argument.
        problem: What is wrong there, with the values that show it.
        remedy: What to do about it. May be empty where the problem says it all.
        because: Other keys of the config that it follows from, where it is of several.
    """

    where: str
    problem: str
    remedy: str = ""
    because: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"{self.where}: {self.problem}" if self.where else self.problem
        return _cut(f"{text}\n  {self.remedy}" if self.remedy else text)


def _cut(text: str, *, longest: int = 600) -> str:
    """Spare the screen a word of the user's that would fill it; no name of a file is so long.

    >>> _cut(f"there is no score '{'x' * 5000}'.", longest=20)
    "there is no score 'xxxxxxxxxxxxxxxxxxx..."
    """
    return re.sub(rf"(\S{{{longest}}})\S+", r"\1...", text)


class ConnectomicsError(Exception):
    """A mistake in what the user gave us. Holds one fault or several.

    >>> print(DataError("raw.h5", "no such file.", "Check the path."))
    DataError: raw.h5: no such file.
      Check the path.
    """

    def __init__(self, where: str, problem: str, remedy: str = "") -> None:
        self.faults: tuple[Fault, ...] = (Fault(where, problem, remedy),)
        super().__init__(where, problem, remedy)

    @classmethod
    def of(cls, faults: Iterable[Fault]) -> Self:
        """Gather several faults, at least one, into one error that reports them all at once."""
        faults = tuple(faults)
        first = faults[0]
        error = cls(first.where, first.problem, first.remedy)
        error.faults = faults
        return error

    def __str__(self) -> str:
        return "\n".join(f"{type(self).__name__}: {fault}" for fault in self.faults)


class ConfigError(ConnectomicsError):
    """A key, name, value or combination in the config that cannot work."""


class DataError(ConnectomicsError):
    """A file or array that is missing, unreadable or not what it should be."""


class StoreError(DataError):
    """An object store that cannot be reached, or lets nobody in: no object of it is to blame."""


class DamagedError(DataError):
    """A file that this program wrote for itself and that is not as it was written: made again."""


class CheckpointError(ConnectomicsError):
    """A checkpoint that cannot be read, or that belongs to another network."""


class MachineError(ConnectomicsError):
    """What the machine refused: space, memory, a permission, or that a process goes on."""


@contextmanager
def naming(file: str) -> Iterator[None]:
    """Let a function on arrays say in which file it found a `DataError`.

    >>> with naming("p.h5"):
    ...     raise DataError("polarity2instance", "the volume is empty.")
    Traceback (most recent call last):
    connectomics.errors.DataError: DataError: p.h5: polarity2instance: the volume is empty.
    """
    try:
        yield
    except DamagedError:  # that is of a file of its own
        raise
    except DataError as error:
        raise type(error).of(
            fault
            if fault.where == file
            else Fault(file, f"{fault.where}: {fault.problem}", fault.remedy)
            for fault in error.faults
        ) from error


class DataWarning(UserWarning):
    """Something in the data that is likely a slip, and that stops nothing."""


def warn(where: str, problem: str, remedy: str = "") -> None:
    """Say once what is likely a slip in the data; see `Fault`."""
    warnings.warn(str(Fault(where, problem, remedy)), DataWarning, stacklevel=3)


MOST_CHOICES = 60
"""Names that a message lists; a folder may hold thousands."""


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Suggest the nearest legal word, or list them all.

    >>> did_you_mean("patch_sise", ["patch_size", "batch_size"])
    "Did you mean 'patch_size'?"
    >>> did_you_mean("zebra", ["pre", "post"])
    'Choices: post, pre.'
    """
    choices = sorted(choices)
    near = difflib.get_close_matches(word, choices, n=1, cutoff=0.7)
    if near:
        return f"Did you mean '{near[0]}'?"
    more = len(choices) - MOST_CHOICES
    rest = f" and {more} more" if more > 0 else ""
    return f"Choices: {', '.join(choices[:MOST_CHOICES])}{rest}."


@contextmanager
def reading(where: str, remedy: str, problem: str = "cannot be read") -> Iterator[None]:
    """Refuse a file whose library stumbles over it, as it may over a damaged one in any way.

    Raises:
        DataError: Anything but an error of ours came up inside.

    >>> with reading("em.zarr", "Copy it again."):
    ...     {}["shape"]
    Traceback (most recent call last):
    connectomics.errors.DataError: DataError: em.zarr: cannot be read: KeyError: 'shape'.
      Copy it again.
    """
    try:
        yield
    except ConnectomicsError:
        raise
    except Exception as error:
        raise DataError(where, f"{problem}: {_brief(error)}.", remedy) from error


def _brief(error: Exception, *, most: int = 200) -> str:
    """What an error of a library says, in part of a line."""
    lines = str(error).splitlines()
    text = lines[0].strip().rstrip(".") if lines else ""
    if not text or isinstance(error, LookupError | AttributeError | TypeError | AssertionError):
        text = f"{type(error).__name__}: {text}".rstrip(": ")
    return text if len(text) <= most else f"{text[:most]} …"
