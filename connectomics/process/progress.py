"""How far a long stage is: a line that stays in place on a terminal, now and then one in a log."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Self

ON_TERMINAL, IN_LOG = 0.5, 60.0
"""Seconds between two lines."""

LINES = 50
"""About so many lines in a log, and so many more each time that a stage has taken three times as
long: a day is no reason for a thousand."""

MB = 1e6

CLEAR = "\r\033[K"


class Progress:
    """Counts what is done, and says so in the same words whatever the stage.

    Args:
        what: The stage, such as `infer`.
        total: How much there is to do, in whole numbers or not; None where nobody knows.
        unit: Of what.
        rate: What to give per second, as `add` counts it; nothing unless given.
        done: How much of it was done before.
        visible: False to count only.
        stream: Where lines go; standard error unless given.

    Attributes:
        total: See above.
        done: How much is done, that of earlier runs included.
        note: What else there is to say, such as the loss.
    """

    def __init__(
        self,
        what: str,
        total: float | None,
        unit: str = "blocks",
        *,
        rate: str = "",
        done: float = 0,
        visible: bool = True,
        stream: IO[str] | None = None,
    ) -> None:
        self.what = what
        self.total = total
        self.done = done
        self.note = ""
        self._unit, self._rate = unit, rate
        self._visible = visible
        self._stream = sys.stderr if stream is None else stream
        self._began = self._said = time.monotonic()
        self._now: float = 0
        self._work: float = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def on_terminal(self) -> bool:
        """Whether the line stays in place."""
        return self._visible and self._stream.isatty()

    def skip(self, number: float = 1) -> None:
        """Count what an earlier run has done."""
        self.done += number

    def add(self, number: float = 1, *, work: float = 0) -> bool:
        """Count what is done now, and say so now and then.

        Args:
            number: How much.
            work: How much that is in what `rate` counts.

        Returns:
            Whether it was time for a line.
        """
        self.done += number
        self._now += number
        self._work += work
        now = time.monotonic()
        in_log = max(IN_LOG, (now - self._began) / LINES)
        due = now - self._said >= (ON_TERMINAL if self._stream.isatty() else in_log)
        if due:
            self.show()
        return due

    def show(self) -> None:
        """Say it now."""
        self._said = time.monotonic()
        if not self._visible:
            return
        seconds = self._said - self._began
        if self._stream.isatty():
            width = shutil.get_terminal_size().columns - 1
            text = self._fitting(seconds, width)
            print(f"{CLEAR}{text[:width]}", end="", file=self._stream, flush=True)
        else:
            print(self.line(seconds), file=self._stream, flush=True)

    def line(self, seconds: float) -> str:
        """What there is to say after so many seconds.

        >>> progress = Progress("infer", 8, rate="voxels")
        >>> progress.skip()
        >>> progress.add(work=10**6)
        False
        >>> progress.line(2.0)
        'infer: 2 of 8 blocks, 500,000 voxels/s, 12 s left'
        """
        return self._joined(self._parts(seconds))

    def _fitting(self, seconds: float, width: int) -> str:
        """The line; where it is too long, without rates, then with less of the note."""
        count, note, rate, left = self._parts(seconds)
        text = self._joined((count, note, rate, left))
        if len(text) > width:
            note = ", ".join(part for part in note.split(", ") if not part.endswith("/s"))
            text = self._joined((count, note, left))
        if (over := len(text) - width) > 0:
            shorter = max(0, len(note) - over - 1)
            text = self._joined((count, f"{note[:shorter]}…" if shorter else "", left))
        return text

    def _joined(self, parts: Iterable[str]) -> str:
        return f"{self.what}: {', '.join(filter(None, parts))}"

    def _parts(self, seconds: float) -> tuple[str, str, str, str]:
        """What is done, the note, the rate and the time left; empty where it is not known."""
        seconds = max(seconds, 1e-9)
        rate = left = ""
        whole = "" if self.total is None else f" of {_number(self.total)}"
        if self._rate and self._work:
            rate = f"{_rate(self._work / seconds)} {self._rate}/s"
        if self.total is not None and self._now and self.done < self.total:
            left = f"{in_words((self.total - self.done) * seconds / self._now)} left"
        return f"{_number(self.done)}{whole} {self._unit}", self.note, rate, left

    def end(self, *, keep: bool = False) -> None:
        """Clear the line of a terminal, or leave it as it stands there.

        Args:
            keep: Leave it; what follows begins on a line of its own.
        """
        if self.on_terminal:
            if keep:
                self.show()
            print("\n" if keep else CLEAR, end="", file=self._stream, flush=True)
        self._visible = False


class BytesProgress(Progress):
    """Counts bytes, and says megabytes.

    Args:
        what: See `Progress`.
        total: How many bytes there are, or None where nobody knows.
        done: How many of them are here already.

    >>> shown = BytesProgress("unpack", 8_000_000, done=1_000_000)
    >>> shown.add(3_000_000)
    False
    >>> shown.line(2.0)
    'unpack: 4.0 of 8.0 MB, 1.5 MB/s, 3 s left'
    """

    def __init__(self, what: str, total: int | None, *, done: int = 0) -> None:
        whole = None if total is None else total / MB
        super().__init__(what, whole, "MB", rate="MB", done=done / MB)

    def add(self, number: float = 1, *, work: float | None = None) -> bool:
        """Count bytes; see `Progress.add`."""
        return super().add(number / MB, work=(number if work is None else work) / MB)


@contextmanager
def elapsing(what: str, stream: IO[str] | None = None) -> Iterator[None]:
    """Say now and then how long something goes on that cannot tell how far it is.

    Args:
        what: What goes on, such as `decode: synapses`.
        stream: Where lines go; standard error unless given.
    """
    out = sys.stderr if stream is None else stream
    began, over = time.monotonic(), threading.Event()

    def tell() -> None:
        seconds: float = 0
        while not over.wait(ON_TERMINAL if out.isatty() else max(IN_LOG, seconds / LINES)):
            seconds = time.monotonic() - began
            start, end = (CLEAR, "") if out.isatty() else ("", "\n")
            print(f"{start}{what}, {in_words(seconds)} so far", end=end, file=out, flush=True)

    def tell_while_it_is_heard() -> None:
        with suppress(OSError, ValueError):  # the terminal is gone, or its stream is closed
            tell()

    teller = threading.Thread(target=tell_while_it_is_heard, daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()
        with suppress(OSError, ValueError):
            if out.isatty():
                print(CLEAR, end="", file=out, flush=True)


def say(text: str, stream: IO[str] | None = None) -> None:
    """Write a line of its own, where one of `Progress` may stand; standard error unless given."""
    out = sys.stderr if stream is None else stream
    print(f"{CLEAR if out.isatty() else ''}{text}", file=out, flush=True)


def in_words(seconds: float) -> str:
    """A time to the precision in which it matters.

    >>> in_words(42), in_words(200), in_words(9000), in_words(200_000)
    ('42 s', '3 min', '2 h 30 min', '2 d 8 h')
    """
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 90:
        return f"{minutes} min"
    if hours < 48:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{hours // 24} d {hours % 24} h"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def _rate(value: float) -> str:
    """Three digits at least.

    >>> _rate(0.4821), _rate(3.14159), _rate(55_847.2)
    ('0.482', '3.14', '55,847')
    """
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
