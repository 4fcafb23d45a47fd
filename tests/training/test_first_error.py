"""How the error of a process that trains gets to the first one, without a process being started."""

from __future__ import annotations

import errno
import signal
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from pytorch_lightning.strategies.launchers.multiprocessing import _MultiProcessingLauncher

from connectomics.errors import CheckpointError, DataError, Fault
from connectomics.training.first_error import SpawnedProcesses

FAULTS = [Fault("a.h5", "is gone.", "Look for it."), Fault("b.h5", "is gone, too.")]
WAITED = RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer")


class UnpicklableError(Exception):
    """Holds what no other process can have."""

    def __init__(self) -> None:
        super().__init__()
        self.held = threading.Lock()


def strategy_of(*errors: Exception, monkeypatch, exitcodes: tuple[int, ...] = ()) -> Any:
    """The strategy after processes that ended one by one with these errors."""
    strategy: Any = SpawnedProcesses()
    strategy._configure_launcher()
    strategy._lightning_module = SimpleNamespace(began=False)
    launcher = strategy.launcher
    launcher.procs = [SimpleNamespace(exitcode=code) for code in exitcodes]
    trainer = SimpleNamespace(lightning_module=SimpleNamespace(began=True))
    for error in errors:

        def train(*_: Any, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(_MultiProcessingLauncher, "_wrapping_function", train)
        with pytest.raises(type(error)):  # where it happened it goes on as well
            launcher._wrapping_function(1, trainer)
    return strategy


def test_faults_arrive_one_by_one(monkeypatch):
    strategy = strategy_of(DataError.of(FAULTS), monkeypatch=monkeypatch)
    with pytest.raises(DataError, match=r"a\.h5: is gone\.\n  Look for it\.\n.*b\.h5") as raised:
        strategy.raise_again()
    assert raised.value.faults == DataError.of(FAULTS).faults
    assert strategy.lightning_module.began


def test_the_first_counts(monkeypatch):
    first = CheckpointError("a.ckpt", "is damaged.")
    with pytest.raises(CheckpointError, match="is damaged"):
        strategy_of(first, WAITED, monkeypatch=monkeypatch).raise_again()


def test_other_errors_say_where_they_were_raised(monkeypatch):
    full = OSError(errno.ENOSPC, "No space left", "x.ckpt")
    with pytest.raises(OSError, match=r"x\.ckpt") as raised:
        strategy_of(full, monkeypatch=monkeypatch).raise_again()
    assert raised.value.errno == errno.ENOSPC
    assert any("in train" in note for note in raised.value.__notes__)
    assert "in train" not in str(raised.value)


def test_an_error_of_waiting_for_one_that_was_killed_says_so(monkeypatch):
    codes = (1, -signal.SIGKILL)
    with pytest.raises(RuntimeError, match="terminated with signal SIGKILL"):
        strategy_of(WAITED, monkeypatch=monkeypatch, exitcodes=codes).raise_again()
    with pytest.raises(RuntimeError, match="by 0"):
        strategy_of(RuntimeError("by 0"), monkeypatch=monkeypatch, exitcodes=codes).raise_again()


def test_what_cannot_be_brought_is_left_to_lightning(monkeypatch):
    large = ArithmeticError("by 0" * 2**14)
    strategy_of(UnpicklableError(), large, monkeypatch=monkeypatch).raise_again()
    assert not strategy_of(monkeypatch=monkeypatch).raise_again()
