"""How far the blocks are: a line that stays in place on a terminal, now and then one in a log."""

from __future__ import annotations

import sys
import time
from typing import IO

ON_TERMINAL, IN_LOG = 0.5, 60.0
"""Seconds between two lines."""


class Progress:
    """Counts what is done, and says so.

    Attributes:
        total: Pieces altogether.
        done: Pieces done, those of earlier runs among them.
    """

    def __init__(self, what: str, total: int, stream: IO[str] | None = None) -> None:
        self.what = what
        self.total = total
        self.done = 0
        self._stream = sys.stderr if stream is None else stream
        self._terminal = self._stream.isatty()
        self._began = self._said = time.monotonic()
        self._now, self._voxels = 0, 0

    def skip(self) -> None:
        """Count a piece that an earlier run has done."""
        self.done += 1

    def add(self, voxels: int) -> None:
        """Count a piece done now."""
        self.done += 1
        self._now += 1
        self._voxels += voxels
        now = time.monotonic()
        if now - self._said >= (ON_TERMINAL if self._terminal else IN_LOG):
            self._said = now
            start, end = ("\r", "\033[K") if self._terminal else ("", "\n")
            print(f"{start}{self.line(now - self._began)}", end=end, file=self._stream, flush=True)

    def line(self, seconds: float) -> str:
        """What there is to say after so many seconds.

        >>> progress = Progress("infer", 8)
        >>> progress.skip()
        >>> progress.add(10**6)
        >>> progress.line(2.0)
        'infer: 2 of 8 blocks, 500,000 voxels/s, 0:12 left'
        """
        seconds = max(seconds, 1e-9)
        left = (self.total - self.done) * seconds / max(self._now, 1)
        rate = f", {self._voxels / seconds:,.0f} voxels/s" if self._voxels else ""
        return f"{self.what}: {self.done} of {self.total} blocks{rate}, {duration(left)} left"

    def end(self) -> None:
        """Clear the line of a terminal."""
        if self._terminal:
            print("\r\033[K", end="", file=self._stream, flush=True)


def duration(seconds: float) -> str:
    """Hours, minutes and seconds.

    >>> duration(75), duration(3 * 3600 + 61)
    ('1:15', '3:01:01')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
