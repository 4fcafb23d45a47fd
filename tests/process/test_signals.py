from __future__ import annotations

import os
import signal
import threading

import pytest

from connectomics.process.signals import STOPPING, Stopped, listening, stopping


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", STOPPING)
def test_each_breaks_off_what_is_done_and_its_tidying_up_is_done(number):
    before = signal.getsignal(number)
    tidied = []

    def work() -> None:
        with stopping():
            try:
                send(number)
                signal.pause()
            finally:
                tidied.append(True)

    with pytest.raises(Stopped) as stopped:
        work()
    assert stopped.value.code == 128 + number
    assert tidied
    assert signal.getsignal(number) is before


def test_what_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    got: list[int] = []
    try:
        with stopping():
            send(signal.SIGHUP)
        with listening(lambda number, frame: got.append(number)):
            send(signal.SIGHUP)
            send(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert got == [signal.SIGUSR1]


def test_outside_the_main_thread_nothing_is_done():
    def work() -> None:
        with stopping():
            done.append(signal.getsignal(signal.SIGTERM))

    done: list[object] = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [signal.getsignal(signal.SIGTERM)]
