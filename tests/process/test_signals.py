from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from types import FrameType

import pytest

from connectomics.process.signals import STOPPING, Stopped, listening, stopping, unbroken


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


@pytest.mark.parametrize("number", [n for n in STOPPING if n is not signal.SIGINT])
def test_a_second_one_waits_for_the_tidying_up_and_a_third_does_not(number):
    done: list[str] = []

    def work(signals: int) -> None:
        with stopping():
            try:
                send(signal.SIGTERM)
                signal.pause()
            finally:
                for _ in range(signals):
                    send(number)
                done.append("saved")

    with pytest.raises(Stopped) as stopped:
        work(1)
    assert stopped.value.signal is signal.SIGTERM
    assert done == ["saved"]
    with pytest.raises(Stopped):
        work(2)
    assert done == ["saved"]


def test_a_second_interrupt_does_not_wait():
    def work() -> None:
        with stopping():
            try:
                send(signal.SIGINT)
            finally:
                send(signal.SIGINT)
                done.append("saved")

    done: list[str] = []
    with pytest.raises(Stopped):
        work()
    assert not done


def test_one_that_comes_while_something_may_not_be_left_waits():
    @unbroken
    def save() -> None:
        send(signal.SIGTERM)
        done.append("saved")

    def work() -> None:
        with stopping():
            save()
            signal.pause()

    done: list[str] = []
    with pytest.raises(Stopped):
        work()
    assert done == ["saved"]


@pytest.mark.skipif(not hasattr(logging, "_releaseLock"), reason="Python locks otherwise")
def test_one_that_comes_while_logging_is_locked_for_a_fork_waits():
    locking = [logging._acquireLock.__code__, logging._releaseLock.__code__]  # pyright: ignore
    came: list[str] = []

    def interrupt(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code in locking:
            came.append(frame.f_code.co_name)
            send(signal.SIGTERM)

    def work() -> None:
        with stopping():
            sys.setprofile(interrupt)
            try:
                child = os.fork()
            finally:
                sys.setprofile(None)
            if not child:
                os._exit(0)
            os.waitpid(child, 0)
            signal.pause()

    with pytest.raises(Stopped):
        work()
    assert came == ["_acquireLock", "_releaseLock"]
    assert logging._lock.acquire(blocking=False)  # pyright: ignore
    logging._lock.release()  # pyright: ignore


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
