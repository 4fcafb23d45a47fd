"""The error that ended a training in several processes: the first one, as it was raised."""

from __future__ import annotations

import pickle
import re
import signal
import traceback
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.strategies.launchers.multiprocessing import _MultiProcessingLauncher
from torch import multiprocessing

from connectomics.errors import ConnectomicsError

LARGEST = 2**15
"""Bytes that a pipe takes in though nobody reads from it yet."""

OF_ANOTHER = re.compile(r"gloo|NCCL|Connection (closed|reset)|Broken pipe")
"""What a process says that waited for one that is gone."""


class SpawnedProcesses(DDPStrategy):
    """Lightning's `ddp_spawn`, which brings the error that ends one process to the first.

    Lightning itself brings a text, of whichever process it sees end first; that may be one that
    only waited for another in vain.
    """

    def __init__(self) -> None:
        super().__init__(start_method="spawn")

    def _configure_launcher(self) -> None:
        self._launcher = _Launcher(self)

    def raise_again(self) -> None:
        """Raise here what ended one of the processes, if it arrived.

        Call it when they have ended. What a network, `began`, says of itself comes along.
        """
        launcher = self._launcher
        assert isinstance(launcher, _Launcher)
        if launcher.errors.empty():
            return
        began, packed = launcher.errors.get()
        assert self.lightning_module is not None
        self.lightning_module.began = began  # pyright: ignore[reportAttributeAccessIssue]
        error: Exception = pickle.loads(packed)
        killed = any(process.exitcode == -signal.SIGKILL for process in launcher.procs)
        if killed and isinstance(error, RuntimeError) and OF_ANOTHER.search(str(error)):
            raise RuntimeError("a process terminated with signal SIGKILL")
        raise error


class _Launcher(_MultiProcessingLauncher):
    def __init__(self, strategy: SpawnedProcesses) -> None:
        super().__init__(strategy, start_method="spawn")
        self.errors = multiprocessing.get_context("spawn").SimpleQueue()

    def _wrapping_function(self, process_idx: int, trainer: pl.Trainer | None, *rest: Any) -> None:
        try:
            super()._wrapping_function(process_idx, trainer, *rest)
        except Exception as error:
            sent = as_bytes(error)
            if sent is not None and trainer is not None:
                self.errors.put((getattr(trainer.lightning_module, "began", False), sent))
            raise


def as_bytes(error: Exception) -> bytes | None:
    """Pack an error, with the way to it as a note where that is of use; None if it cannot be.

    A class of errors may be such that what it wrote it cannot read.
    """
    if isinstance(error, ConnectomicsError):
        error = type(error).of(error.faults[:20])
    else:
        error.add_note("".join(traceback.format_exception(error))[-LARGEST // 4 :])
    try:
        packed = pickle.dumps(error)
        pickle.loads(packed)
    except Exception:
        return None
    return packed if len(packed) <= LARGEST else None
