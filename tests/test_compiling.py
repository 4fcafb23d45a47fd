"""Compiled code is kept, and a long compilation is announced."""

from __future__ import annotations

import logging
import time

import numba
import pytest

from connectomics import compiling
from connectomics.compiling import announced_compilation, compiled

NOTICE = "Compiling for this machine"


def fresh_function():
    """A function that numba has not compiled and does not keep."""
    return numba.njit(lambda x: x * x + 1)


def test_a_long_compilation_is_announced_once(monkeypatch, caplog):
    monkeypatch.setattr(compiling, "PATIENCE", 1e-4)
    with caplog.at_level(logging.WARNING, "connectomics.compiling"), announced_compilation():
        assert fresh_function()(3) == 10
        assert fresh_function()(4) == 17
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(NOTICE)


def test_a_short_one_and_a_long_run_are_not(monkeypatch, caplog):
    monkeypatch.setattr(compiling, "PATIENCE", 20.0)
    function = fresh_function()
    with caplog.at_level(logging.WARNING, "connectomics.compiling"):
        with announced_compilation():
            function(3)
        monkeypatch.setattr(compiling, "PATIENCE", 1e-4)
        with announced_compilation():
            function(3)  # compiled by now
            time.sleep(0.05)
    assert not caplog.messages


@pytest.mark.parametrize("calls", [1, 3])
def test_times_add_up(monkeypatch, caplog, calls):
    """Three compilations that are each within the limit pass it together."""
    watch = compiling._Stopwatch(0.3)
    with caplog.at_level(logging.WARNING, "connectomics.compiling"):
        for _ in range(calls):
            watch.on_start(None)
            watch.on_start(None)  # a function called by the function
            time.sleep(0.15)
            watch.on_end(None)
            watch.on_end(None)
    assert len(caplog.messages) == (calls > 2)


def test_functions_compile_where_nothing_can_be_kept():
    scope = {}
    exec("def twice(x):\n    return 2 * x", scope)  # numba finds no file to keep it beside
    assert compiled(scope["twice"])(21) == 42
