"""Compiled code is kept, and a long compilation is announced."""

from __future__ import annotations

import importlib.util
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numba
import pytest
from numba.core.caching import IndexDataCacheFile

from connectomics import compiling
from connectomics.compiling import announced_compilation, compiled

ROOT = Path(__file__).parents[1]

NOTICE = "Compiling for this machine"


def fresh_function():
    """A function that numba has not compiled and does not keep."""
    return numba.njit(lambda x: x * x + 1)


def compilation(cache_path="__pycache__"):
    """What numba tells a listener of the compilation of a function."""
    stats = SimpleNamespace(cache_path=cache_path)
    return SimpleNamespace(data={"dispatcher": SimpleNamespace(stats=stats)})


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


def test_it_says_whether_the_code_is_kept(monkeypatch, caplog):
    monkeypatch.setattr(compiling, "PATIENCE", 1e-4)
    with caplog.at_level(logging.WARNING, "connectomics.compiling"), announced_compilation():
        fresh_function()(3)
    for path in ("__pycache__", None):
        watch = compiling._Stopwatch(1e-4)
        watch.on_start(compilation(path))
        time.sleep(0.2)
        watch.on_end(compilation(path))
    kept = ["is kept for later runs" in message for message in caplog.messages]
    assert kept == [False, True, False]
    assert "Set NUMBA_CACHE_DIR" in caplog.messages[0]


def test_blocks_within_blocks_and_in_threads_speak_once(monkeypatch, caplog):
    monkeypatch.setattr(compiling, "PATIENCE", 1e-4)

    def compile_one():
        with announced_compilation(), announced_compilation():
            fresh_function()(3)

    threads = [threading.Thread(target=compile_one) for _ in range(4)]
    with caplog.at_level(logging.WARNING, "connectomics.compiling"), announced_compilation():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(caplog.messages) == 1


def test_a_compilation_that_began_before_the_block_starts_no_clock(caplog):
    watch = compiling._Stopwatch(0.1)
    watch.on_end(compilation())  # of another thread
    with caplog.at_level(logging.WARNING, "connectomics.compiling"):
        watch.on_start(compilation())
        watch.on_start(compilation())
        watch.on_end(compilation())
        watch.on_end(compilation())
        time.sleep(0.3)
    assert not caplog.messages


def test_nothing_is_said_after_the_block(monkeypatch, caplog):
    monkeypatch.setattr(compiling, "PATIENCE", 0.1)
    with caplog.at_level(logging.WARNING, "connectomics.compiling"):
        with announced_compilation():
            numba.core.event.start_event("numba:compile", compilation().data)
        time.sleep(0.3)
    assert not caplog.messages


def test_time_that_ran_out_unsaid_is_said_at_the_next_compilation(caplog):
    watch = compiling._Stopwatch(60.0)
    with caplog.at_level(logging.WARNING, "connectomics.compiling"):
        watch.on_start(compilation())
        watch._started -= 61.0  # the timer had no turn
        watch.on_end(compilation())
        assert not caplog.messages
        watch.on_start(compilation())
        time.sleep(0.2)
        watch.on_end(compilation())
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("calls", [1, 3])
def test_times_add_up(monkeypatch, caplog, calls):
    """Three compilations that are each within the limit pass it together."""
    watch = compiling._Stopwatch(0.3)
    with caplog.at_level(logging.WARNING, "connectomics.compiling"):
        for _ in range(calls):
            watch.on_start(compilation())
            watch.on_start(compilation())  # a function called by the function
            time.sleep(0.15)
            watch.on_end(compilation())
            watch.on_end(compilation())
    assert len(caplog.messages) == (calls > 2)


def test_functions_compile_where_nothing_can_be_kept():
    scope = {}
    exec("def twice(x):\n    return 2 * x", scope)  # numba finds no file to keep it beside
    assert compiled(scope["twice"])(21) == 42


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Compiles a function of a module of its own anew, whose cache lies beside it."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    (tmp_path / "added.py").write_text("def add(x):\n    return x + 1\n")
    spec = importlib.util.spec_from_file_location("added", tmp_path / "added.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda: compiled(module.add)


def test_a_damaged_cache_is_made_anew(fresh, tmp_path: Path):
    assert fresh()(1) == 2
    kept = list(tmp_path.glob("__pycache__/*.nb?"))
    assert {file.suffix for file in kept} == {".nbi", ".nbc"}
    for damage in ("", ".nbi", ".nbc"):
        for file in kept:
            if file.suffix == damage:
                file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        again = fresh()
        assert again(1) == 2
        assert bool(again.stats.cache_hits) == (damage == "")
    assert fresh()(1) == 2


def test_a_cache_on_a_full_disk(fresh, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(IndexDataCacheFile, "_save_index", full)
    assert fresh()(1) == 2


CALLED = "from connectomics.compiling import compiled\n\n\n@compiled\ndef inner():\n    return {}\n"
CALLING = """
from connectomics.compiling import compiled
from called import inner

@compiled
def outer():
    return inner()

print(outer())
"""


def test_what_a_kept_function_calls_in_another_file_is_not_kept_longer(tmp_path: Path):
    (tmp_path / "calling.py").write_text(CALLING)
    found = []
    for number in (1, 22):
        (tmp_path / "called.py").write_text(CALLED.format(number))
        command = [sys.executable, "-m", "calling"]
        path = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
        done = subprocess.run(
            command, env=os.environ | path, capture_output=True, text=True, check=True
        )
        found.append(done.stdout.strip())
    assert found == ["1", "22"]
