"""Signals that ask this process to stop: Ctrl-C, a cluster, a terminal that was closed."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any, TypeVar

Handler = Callable[[int, FrameType | None], Any]
_F = TypeVar("_F", bound=Callable[..., Any])

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
"""Clusters send SIGTERM or SIGUSR1 before they kill; a terminal that closes sends SIGHUP."""

MOMENT = 0.01
"""Seconds after which a signal is sent again that came when nothing may be broken off."""


class Stopped(SystemExit):
    """A signal has stopped the program, which ends with 128 + the signal.

    Attributes:
        signal: Which one: SIGINT gives exit status 130, SIGTERM 143.
        note: What to know of the state that is left.

    >>> stopped = Stopped(signal.SIGTERM, "Nothing is lost.")
    >>> stopped.code, str(stopped)
    (143, 'Stopped by SIGTERM. Nothing is lost.')
    """

    def __init__(self, received: int, note: str = "") -> None:
        self.signal = signal.Signals(received)
        self.note = note
        super().__init__(128 + received)

    def __str__(self) -> str:
        return f"Stopped by {self.signal.name}. {self.note}".strip()


@contextmanager
def stopping() -> Iterator[None]:
    """Let signals break off what is done inside, so that it tidies up after itself.

    A second one waits until that is done; a third one, or a second SIGINT, does not.

    Raises:
        Stopped: One arrived.
    """
    second: list[int] = []
    postponed: list[tuple[int, threading.Timer]] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if number != signal.SIGINT and not second and _is_stopping():
            second.append(number)
        elif _is_unbroken(frame):
            _cancel(postponed)
            timer = threading.Timer(MOMENT, os.kill, (os.getpid(), number))
            timer.daemon = True
            timer.start()
            postponed.append((number, timer))
        else:
            raise Stopped(number)

    ignored = {n for n in STOPPING if signal.getsignal(n) is signal.SIG_IGN}
    previous = listen(stop, [number for number in STOPPING if number not in ignored])
    try:
        yield
        waiting = [number for number, timer in postponed if timer.is_alive()]
    except Stopped:
        if _ending:  # the exit status is decided
            previous = dict.fromkeys(previous, signal.SIG_IGN)
        raise
    finally:
        _cancel(postponed)
        restore(previous)
    if waiting:
        raise Stopped(waiting[0])


_ending: list[bool] = []


def end_with_the_first() -> None:
    """Let the process end with what has stopped it, whatever arrives after that."""
    _ending.append(True)


def _cancel(postponed: list[tuple[int, threading.Timer]]) -> None:
    while postponed:
        postponed.pop()[1].cancel()


def _is_stopping() -> bool:
    """Whether what is done at the moment is to tidy up after a signal."""
    error = sys.exception()
    while error is not None and not isinstance(error, Stopped):
        error = error.__context__
    return error is not None


def unbroken(function: _F) -> _F:
    """Mark a function that must not be left by a signal, for what calls it takes no exceptions.

    While it is on the way, `stopping` waits a moment.
    """
    _UNBROKEN.add(function.__code__)
    return function


def _locking() -> Iterator[CodeType]:
    """What logging does around a fork; an exception there is swallowed, and leaves it locked."""
    for name in ("_acquireLock", "_releaseLock"):  # until Python 3.12; later no code of Python's
        if function := getattr(logging, name, None):
            yield function.__code__


_UNBROKEN: set[CodeType] = {*_locking()}


def _is_unbroken(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code in _UNBROKEN:
            return True
        frame = frame.f_back
    return False


@contextmanager
def listening(handler: Handler, numbers: Sequence[signal.Signals] = STOPPING) -> Iterator[None]:
    """Have signals handled while the block runs; see `listen`."""
    previous = listen(handler, numbers)
    try:
        yield
    finally:
        restore(previous)


def listen(
    handler: Handler, numbers: Sequence[signal.Signals] = STOPPING
) -> dict[signal.Signals, Any]:
    """Have signals handled; outside the main thread, do nothing.

    A SIGHUP that is ignored stays so: that is what `nohup` is for.

    Returns:
        The handlers that were there, to be put back with `restore`.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    hangup = signal.SIGHUP
    kept = {hangup} if signal.getsignal(hangup) is signal.SIG_IGN else set()
    return {n: signal.signal(n, handler) for n in numbers if n not in kept}


def restore(previous: dict[signal.Signals, Any]) -> None:
    """Put handlers back that `listen` replaced."""
    for number, handler in previous.items():
        signal.signal(number, handler)


def ignore_group_signals() -> None:
    """Leave stopping to the process that started this one.

    A terminal and a cluster signal every process of a group; the first of them passes on what is
    to be done.
    """
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
