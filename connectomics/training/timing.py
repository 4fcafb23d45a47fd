"""How long steps of a training take on this machine, and how much memory: measured on a few."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch

from connectomics.process.launchers import without_launchers
from connectomics.training.build import build_trainer
from connectomics.training.progress import quiet_lightning
from connectomics.training.trainer import Training

FIRST = 2
"""Steps that do not count: kernels are chosen, and workers have patches in store."""

LEAST = 3
"""Steps that do count, however long they take."""


class Timing(NamedTuple):
    """What was measured.

    Attributes:
        step: Seconds per optimizer step, the median.
        steps: How many were timed.
        memory: Bytes at most: of the GPU, or of this process.
        load: How many programs ran or waited to, before, for each CPU of this machine; 0 where
            nobody says.
    """

    step: float
    steps: int
    memory: int
    load: float


def time_steps(training: Training, *, seconds: float = 20.0, most: int = 20) -> Timing:
    """Do a few steps of a training, in one process, and leave nothing of them.

    Args:
        training: Not trained yet; of no use afterwards.
        seconds: After which no further step is begun, once there are `LEAST`.
        most: Steps to time, at most.
    """
    config = training.config
    images = config.monitor.logging.images.model_copy(update={"max_images": 0})
    logging = config.monitor.logging.model_copy(update={"images": images})
    monitor = config.monitor.model_copy(update={"logging": logging, "progress_bar": False})
    config = config.model_copy(update={"monitor": monitor})
    clock = _Clock(seconds, most)
    load = _load()
    gpu = training.devices[0] == "gpu"
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    with TemporaryDirectory() as folder, quiet_lightning(), without_launchers():
        trainer = build_trainer(config, training.module, Path(folder), (training.devices[0], 1))
        trainer.callbacks.insert(0, clock)  # pyright: ignore[reportAttributeAccessIssue]
        trainer.fit(training.module, training.data)
    memory = torch.cuda.max_memory_reserved() if gpu else _peak()
    return Timing(*clock.measured(), memory, load)


class _Clock(pl.Callback):
    """Notes when each step ends, and stops training when there are enough."""

    def __init__(self, seconds: float, most: int) -> None:
        self.until = time.perf_counter() + seconds
        self.most = most
        self.began = 0.0
        self.ends: list[float] = []

    def on_train_start(self, *_: Any) -> None:
        """Begin."""
        self.began = time.perf_counter()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Note the end of a step."""
        if trainer.global_step <= len(self.ends):
            return  # gradients are accumulated still
        if trainer.strategy.root_device.type == "cuda":
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())
        enough = self.ends[-1] > self.until and len(self.ends) >= FIRST + LEAST
        trainer.should_stop |= enough or len(self.ends) >= self.most + FIRST

    def measured(self) -> tuple[float, int]:
        """Seconds per step, and of how many steps."""
        times = np.diff([self.began, *self.ends])
        times = times[min(FIRST, len(times) - 1) :]
        return float(np.median(times)), len(times)


def _load() -> float:
    try:
        return os.getloadavg()[0] / (os.cpu_count() or 1)
    except (AttributeError, OSError):  # Windows
        return 0.0


def _peak() -> int:
    """Bytes that this process has had at most."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
