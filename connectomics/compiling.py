"""Functions compiled by numba: kept for the next run, and announced when they take long."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from numba import njit
from numba.core import event
from numba.core.caching import FunctionCache

logger = logging.getLogger(__name__)

PATIENCE = 2.0
"""Seconds of compilation after which the user is told what they are waiting for."""


def compiled(function: Callable) -> Any:
    """Compile `function` at its first call; it then runs without Python's global lock.

    The machine code is kept in `__pycache__` or the user's cache folder. Where neither can be
    written (a read-only container without a home) every process compiles for itself.
    """
    fast: Any = njit(nogil=True)(function)
    with contextlib.suppress(RuntimeError):  # no folder for it
        fast._cache = _KeptCode(function)  # what `cache=True` does, with an own class
    return fast


@cache
def _stamp(folder: Path) -> list[tuple[str, int, int]]:
    """What changes with the code in a folder."""
    files = [(file.name, file.stat()) for file in sorted(folder.glob("*.py"))]
    return [(name, status.st_mtime_ns, status.st_size) for name, status in files]


class _KeptCode(FunctionCache):
    """Machine code on disk; where it is damaged or the disk is full, it is compiled anew.

    Numba keeps it until the file of the function changes. It holds the functions it calls too, so
    here any file of its folder counts.
    """

    def __init__(self, function: Callable) -> None:
        super().__init__(function)
        self._cache_file._source_stamp = _stamp(Path(function.__code__.co_filename).parent)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # whatever pickle makes of a damaged file
            with contextlib.suppress(OSError):
                self.flush()  # or saving would stumble over it as well
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with contextlib.suppress(OSError):
            super().save_overload(sig, data)


@contextmanager
def announced_compilation() -> Iterator[None]:
    """Log one line if numba spends more than `PATIENCE` seconds compiling inside the block.

    Loading cached code is no compilation and is not counted; neither is running it. Of blocks
    that run at the same time, nested or in several threads, only the first speaks.
    """
    if not _watching.acquire(blocking=False):
        yield
        return
    stopwatch = _Stopwatch(PATIENCE)
    try:
        with event.install_listener("numba:compile", stopwatch):
            yield
    finally:
        stopwatch.stop()
        _watching.release()


_watching = threading.Lock()


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
        details: Any = event.data
        kept = details["dispatcher"].stats.cache_path is not None
        self._timer = threading.Timer(self._left, _announce, [kept])
        self._timer.daemon = True
        self._timer.start()

    def on_end(self, event: event.Event) -> None:
        if self._depth == 0:  # another thread had started before this stopwatch was there
            return
        self._depth -= 1
        if self._depth == 0:
            self.stop()

    def stop(self) -> None:
        """Count the time since the last start, and announce nothing more for it."""
        if self._timer is None:
            return
        announced = self._timer.finished.is_set()
        self._timer.cancel()
        self._timer = None
        self._left -= time.monotonic() - self._started
        if not announced:  # time may have run out just now; then the next compilation says so
            self._left = max(self._left, 1e-3)


def _announce(kept: bool) -> None:
    if kept:
        term = "once for each part of the program: the code is kept for later runs."
    else:
        term = (
            "and does so in every run, as no folder was found to keep the compiled code in. "
            "Set NUMBA_CACHE_DIR to one that can be written."
        )
    logger.warning("Compiling for this machine. It takes some seconds, %s", term)
