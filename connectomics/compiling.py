"""Functions compiled by numba: kept for the next run, and announced when they take long."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from numba import njit
from numba.core import event

logger = logging.getLogger(__name__)

PATIENCE = 2.0
"""Seconds of compilation after which the user is told what they are waiting for."""


def compiled(function: Callable) -> Any:
    """Compile `function` at its first call; it then runs without Python's global lock.

    The machine code is kept in `__pycache__` or the user's cache folder. Where neither can be
    written (a read-only container without a home) every process compiles for itself.
    """
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:
        return njit(nogil=True)(function)


@contextmanager
def announced_compilation() -> Iterator[None]:
    """Log one line if numba spends more than `PATIENCE` seconds compiling inside the block.

    Loading cached code is no compilation and is not counted; neither is running it.
    """
    with event.install_listener("numba:compile", _Stopwatch(PATIENCE)):
        yield


class _Stopwatch(event.Listener):
    """Adds up the time between the outermost start and end of compilation."""

    def __init__(self, patience: float) -> None:
        self._left = patience
        self._depth = 0
        self._started = 0.0
        self._timer: threading.Timer | None = None

    def on_start(self, event: event.Event) -> None:
        self._depth += 1
        if self._depth > 1 or self._left <= 0:
            return
        self._started = time.monotonic()
        self._timer = threading.Timer(self._left, _announce)
        self._timer.daemon = True
        self._timer.start()

    def on_end(self, event: event.Event) -> None:
        self._depth -= 1
        if self._depth > 0 or self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        self._left -= time.monotonic() - self._started


def _announce() -> None:
    logger.warning(
        "Compiling for this machine. It takes some seconds, once: "
        "the compiled code is kept for later runs."
    )
