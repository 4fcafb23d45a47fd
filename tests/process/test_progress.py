"""What a stage says of how far it is."""

from __future__ import annotations

import io
import os
import re
import threading
import time

import pytest

from connectomics.process import progress
from connectomics.process.progress import CLEAR, Progress, elapsing, say


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    """Time that passes when it is told to."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_whole_lines_now_and_then(clock):
    log = io.StringIO()
    with Progress("download", 10.0, "MB", rate="MB", done=2.5, stream=log) as shown:
        for _ in range(5):
            clock[0] += 25
            shown.add(1.5, work=1.5)
    assert log.getvalue().splitlines() == [
        "download: 7.0 of 10.0 MB, 0.06 MB/s, 50 s left",
    ]


def test_a_long_stage_says_less(clock):
    log = io.StringIO()
    shown = Progress("train", 10**6, "steps", stream=log)
    for _ in range(5000):
        clock[0] += 60
        shown.add()
    assert 100 < len(log.getvalue().splitlines()) < 400  # in three and a half days


def test_a_terminal_gets_one_line_that_fits(clock, monkeypatch):
    monkeypatch.setattr(progress.shutil, "get_terminal_size", lambda: os.terminal_size((30, 24)))
    terminal = Terminal()
    shown = Progress("tune", 4, "trials", stream=terminal)
    shown.note = "best 0.712 (trial 1)"
    for _ in range(2):
        clock[0] += 3
        shown.add()
    say("tune: a line between", terminal)
    shown.end(keep=True)
    shown.show()  # nothing comes after the end
    first, second, between, last = terminal.getvalue().split(CLEAR)[1:]
    assert first == "tune: 1 of 4 trials, 9 s left"  # no room for the note
    assert second == "tune: 2 of 4 trials, 6 s left"
    assert between == "tune: a line between\n"
    assert last == f"{second}\n"


def test_where_it_is_too_long_the_time_left_stays(clock, monkeypatch):
    monkeypatch.setattr(progress.shutil, "get_terminal_size", lambda: os.terminal_size((80, 24)))
    terminal = Terminal()
    shown = Progress("train", 3000, "steps", stream=terminal)
    shown.note = "loss 0.7975, 8.05 patches/s"
    clock[0] += 100
    shown.add(1000)
    shown.note = "loss 0.7975, Dice pre 0.18 post 0.26 union 0.30, 8.05 patches/s"
    shown.show()
    short, long = terminal.getvalue().split(CLEAR)[1:]
    assert short == "train: 1,000 of 3,000 steps, loss 0.7975, 8.05 patches/s, 3 min left"
    assert long == "train: 1,000 of 3,000 steps, loss 0.7975, Dice pre 0.18 post 0.26 …, 3 min left"


def test_what_nobody_is_to_see_is_counted(clock):
    log = io.StringIO()
    shown = Progress("infer", None, "voxels", visible=False, stream=log)
    clock[0] += 100
    shown.add(7)
    assert shown.line(1.0) == "infer: 7 voxels"
    assert log.getvalue() == ""


def until(condition):
    """Wait for what another thread does."""
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("it never came")


def test_what_cannot_be_counted_says_how_long_it_goes_on(monkeypatch):
    monkeypatch.setattr(progress, "ON_TERMINAL", 0.01)
    terminal = Terminal()
    with elapsing("decode: synapses", terminal):
        until(lambda: terminal.getvalue().count("so far") > 1)
    lines = terminal.getvalue().split(CLEAR)
    assert all(re.fullmatch(r"decode: synapses, \d+ s so far", line) for line in lines[1:-1])
    assert (lines[0], lines[-1]) == ("", "")  # the line is cleared


def test_a_log_is_told_of_what_cannot_be_counted_by_whole_lines(monkeypatch):
    monkeypatch.setattr(progress, "IN_LOG", 0.05)
    log = io.StringIO()
    with elapsing("decode: synapses", log):
        until(lambda: "\n" in log.getvalue())
    for line in log.getvalue().splitlines():
        assert re.fullmatch(r"decode: synapses, \d+ s so far", line)
    before = log.getvalue()
    time.sleep(0.1)
    assert log.getvalue() == before


def test_what_is_soon_over_says_nothing():
    log = io.StringIO()
    with elapsing("decode: synapses", log):
        pass
    assert log.getvalue() == ""


def test_what_cannot_be_counted_goes_on_when_nobody_listens(monkeypatch):
    monkeypatch.setattr(progress, "IN_LOG", 0.01)
    ended, log = [], io.StringIO()
    monkeypatch.setattr(threading, "excepthook", ended.append)
    log.close()
    with elapsing("decode: synapses", log):
        time.sleep(0.05)
    assert ended == []
