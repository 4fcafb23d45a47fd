"""Ctrl-C and SIGTERM during a search: the trial under way is lost, nothing else."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class TrialInterruptedError(Exception):
    """A signal arrived during a trial."""


class Stop:
    """Whether the search has been asked to stop.

    Attributes:
        received: The signal that asked, or None.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._in_trial = False

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Let a signal break off what is done inside; elsewhere it only leaves word.

        Raises:
            TrialInterruptedError: A signal arrived inside.
        """
        self._in_trial = True
        try:
            yield
        finally:
            self._in_trial = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Note a signal; the second one does not wait."""
        del frame
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)
        if self._in_trial:
            raise TrialInterruptedError


@contextmanager
def listening() -> Iterator[Stop]:
    """Heed signals while the block runs; outside the main thread, none arrive."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    previous = {number: signal.signal(number, stop.handle) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
