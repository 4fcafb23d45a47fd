"""What is tried in a copy of the process."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from connectomics.process import apart
from connectomics.process.apart import fate_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are copied on Linux")


def forever() -> None:
    while True:
        pass


def test_what_ends_by_itself_is_nothing_to_speak_of(capfd):
    assert fate_of(lambda: print("said", flush=True)) == ""
    assert fate_of(lambda: 1 / 0) == ""
    assert fate_of(lambda: sys.exit(3)) == ""
    assert capfd.readouterr() == ("", "")


def test_what_never_ends(monkeypatch):
    monkeypatch.setattr(apart, "SECONDS", 1)
    assert fate_of(forever) == "never comes to an end"


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT])
def test_what_crashes(number):
    assert fate_of(lambda: os.kill(os.getpid(), number)) == "crashes"


def test_a_signal_from_elsewhere_says_nothing():
    assert fate_of(lambda: os.kill(os.getpid(), signal.SIGTERM)) == ""


def test_what_waits_is_given_up_and_not_blamed(monkeypatch):
    monkeypatch.setattr(apart, "PATIENCE", 0.2)
    began = time.monotonic()
    assert fate_of(lambda: time.sleep(60)) == ""
    assert time.monotonic() - began < 30


def test_no_process_can_be_made(monkeypatch):
    def refuse() -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, "fork", refuse)
    assert fate_of(forever) == ""
