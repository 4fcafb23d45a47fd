"""Trying in a copy of this process what may never end, or end the process."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

SECONDS = 2
"""Of computing that something may take before it counts as endless; waiting does not count."""

PATIENCE = 60.0
"""Seconds after which nothing more is to be learned, as of a disk that does not answer."""

FATAL: dict[int, str] = {
    signal.SIGXCPU: "never comes to an end",
    **dict.fromkeys(
        (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL), "crashes"
    ),
}
"""What signals say of an action that they ended; others came from elsewhere."""


def fate_of(action: Callable[[], object]) -> str:
    """Do something in a copy of this process, and say how that ended it.

    Libraries in C may walk in circles in a damaged file, or crash on it; neither can be caught.

    Args:
        action: What to do; its result and its errors are lost.

    Returns:
        "never comes to an end", "crashes", or nothing where it ended by itself, or could not be
        tried (only Linux copies a process safely).
    """
    if sys.platform != "linux":
        return ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which it has not
            child = os.fork()
    except OSError:
        return ""
    if child == 0:
        try:
            _confine()
            action()
        finally:
            os._exit(0)
    return _end_of(child)


def _confine() -> None:
    """Say nothing, catch no signal, and end after so many seconds of computing."""
    import faulthandler
    import resource

    faulthandler.disable()
    sys.stdout = sys.stderr = nowhere = Path(os.devnull).open("w")  # noqa: SIM115
    for stream in (1, 2):
        os.dup2(nowhere.fileno(), stream)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))


def _end_of(child: int) -> str:
    began, pause = time.monotonic(), 0.0005
    ended, status = os.waitpid(child, os.WNOHANG)
    while not ended:
        if time.monotonic() - began > PATIENCE:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return ""
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
        ended, status = os.waitpid(child, os.WNOHANG)
    return FATAL.get(os.WTERMSIG(status), "") if os.WIFSIGNALED(status) else ""
