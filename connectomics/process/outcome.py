"""How a program ends: what went wrong said in words, and an exit status."""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from connectomics.errors import ConfigError, ConnectomicsError, DataWarning
from connectomics.process.launchers import without_launchers
from connectomics.process.progress import say
from connectomics.process.signals import Stopped, end_with_the_first, stopping

FAULT = """\
This is a fault of connectomics and not yours. Please report the lines above, with the command and
the config. Files that were complete are as they were."""


@dataclass
class Outcome:
    """How something ended.

    Attributes:
        status: 0; 2 for what can be put right, and 1 for what is our fault; 128 + the signal when
            stopped by one.
    """

    status: int = 0


class SaidElsewhere(SystemExit):
    """Ends a process of several, where another says why."""


@contextmanager
def reported() -> Iterator[Outcome]:
    """Say in words what goes wrong inside, and end it where a signal asks for that.

    Yields:
        What to ask for the exit status afterwards.
    """
    outcome, begun = Outcome(), False
    show, warnings.showwarning = warnings.showwarning, partial(_show_warning, set())
    package, lines = logging.getLogger("connectomics"), _OwnLines(logging.WARNING)
    package.addHandler(lines)
    try:
        with stopping(), without_launchers():
            begun = True
            yield outcome
    except ConnectomicsError as error:
        print(error, file=sys.stderr)
        outcome.status = 2
    except SaidElsewhere as ended:
        outcome.status = int(ended.code or 0)
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        outcome.status = 128 + stopped.signal
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        outcome.status = 130
    except Exception as error:
        outcome.status = _unexpected(error)
    finally:
        warnings.showwarning = show
        package.removeHandler(lines)
    if not begun:  # a signal was faster
        sys.exit(outcome.status)


def require_current_folder() -> None:
    """Refuse to work in a folder that is gone.

    Raises:
        ConfigError: It is.
    """
    try:
        Path.cwd()
    except OSError as error:
        problem = "is not there any more, or may not be read."
        raise ConfigError("current folder", problem, "Go to it anew: cd FOLDER") from error


def _show_warning(
    said: set[str], message: Warning | str, category: type[Warning], *place: Any
) -> None:
    """What a user is to know of their data, once, without the line of code that found it."""
    if issubclass(category, DataWarning):
        if str(message) not in said:
            said.add(str(message))
            say(f"warning: {message}")
    else:
        say(warnings.formatwarning(message, category, *place[:2]).rstrip("\n"))


class _OwnLines(logging.Handler):
    """Gives what the package logs a line of its own, where one of `Progress` may stand."""

    def emit(self, record: logging.LogRecord) -> None:
        say(self.format(record))


def _unexpected(error: Exception) -> int:
    """Say what the machine refused; what else comes here is a fault of the program."""
    from connectomics.process.failures import machine_error

    refused = machine_error(error)
    if refused is not None:
        print(refused, file=sys.stderr)
        return 2
    traceback.print_exception(error)
    print(FAULT, file=sys.stderr)
    return 1


@contextmanager
def in_process() -> Iterator[None]:
    """Be all of a process, whose output is allowed to get lost; ends it with a status of 2 then.

    Raises:
        SystemExit: In the end, with the status that was given inside.
    """
    from connectomics.process.output import lost_output, prepare_output

    prepare_output()
    end_with_the_first()
    status = 0
    try:
        yield
    except SystemExit as end:  # also of argparse, which has printed its help, or what is wrong
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    lost = lost_output()
    if lost is not None:
        print(
            f"standard output: {lost.strerror}. Some of what was printed is lost.", file=sys.stderr
        )
        status = status or 2
    sys.exit(status)
