"""A signal to stop during a search: the trial under way is lost, nothing else."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from connectomics.process.signals import Stopped, listening


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
        self._interrupted = False

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
        """Note a signal; the second SIGINT does not wait."""
        del frame
        if self._interrupted and number == signal.SIGINT:
            raise Stopped(number)
        self._interrupted |= number == signal.SIGINT
        self.received = self.received or signal.Signals(number)
        if self._in_trial:
            raise TrialInterruptedError


@contextmanager
def listening_for_stop() -> Iterator[Stop]:
    """Heed signals while the block runs; outside the main thread, none arrive."""
    stop = Stop()
    with listening(stop.handle):
        yield stop
