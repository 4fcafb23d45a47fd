"""How a training stops without losing any work."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from connectomics.process.signals import (
    STOPPING,
    Stopped,
    ignore_group_signals,
    listen,
    listening,
    restore,
)
from connectomics.training.first_error import SpawnedProcesses


class TrainingStopped(Stopped):
    """Training was stopped by a signal, after saving; ends the program with 128 + the signal.

    Attributes:
        signal: Such as SIGINT (exit status 130) or SIGTERM (143).
        checkpoint: What was saved.
    """

    def __init__(self, received: signal.Signals, checkpoint: Path) -> None:
        self.checkpoint = checkpoint
        super().__init__(
            received,
            f"The state is saved in {checkpoint}; go on with the same command and "
            f"--checkpoint {checkpoint}",
        )


class StopOnSignal(pl.Callback):
    """On a signal to stop: saves `last.ckpt` and raises `TrainingStopped`.

    It acts after the optimizer step, or the validation, that is under way. Other signals wait for
    it; a second SIGINT does not. In a process that was started for this training it heeds SIGTERM
    only, with which the first process passes on what is to be done.

    Place it behind every callback with a state.

    Args:
        last: The checkpoint to write.
        steps_per_epoch: Optimizer steps between validations, which save by themselves.
    """

    def __init__(self, last: Path, *, steps_per_epoch: int) -> None:
        self.last = last
        self.steps_per_epoch = steps_per_epoch
        self.received: signal.Signals | None = None
        self._heeds = STOPPING
        self._previous: dict[signal.Signals, Any] = {}
        self._last_step = 0
        self._interrupted = False

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Arrive in a process that was started for this training."""
        self.__dict__.update(state)
        self._heeds = (signal.SIGTERM,)
        ignore_group_signals()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to listen."""
        self._last_step = trainer.global_step
        self._previous = listen(self._note, self._heeds)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Save and stop if asked to; not between batches whose gradients are accumulated."""
        step = trainer.global_step
        if step == self._last_step:
            return
        self._last_step = step
        validates = step % self.steps_per_epoch == 0 or trainer.should_stop
        if not validates and self._asked(trainer):
            trainer.save_checkpoint(self.last)
            self._stop()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop if asked to; `KeepCheckpoints` has just saved. What is at its end just ends."""
        ends = trainer.should_stop or 0 <= trainer.max_steps <= trainer.global_step
        if not ends and self._asked(trainer):
            self._stop()

    def on_train_end(self, *_: Any) -> None:
        """Listen no longer."""
        self._restore()

    def on_exception(self, *_: Any) -> None:
        """Listen no longer."""
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self._interrupted and number == signal.SIGINT:
            raise Stopped(number, _AT_ONCE)
        self._interrupted |= number == signal.SIGINT
        self.received = self.received or signal.Signals(number)

    def _asked(self, trainer: pl.Trainer) -> bool:
        """Whether any process has been told to stop; all get the same answer."""
        asked = self.received is not None
        if trainer.world_size == 1:
            return asked
        return bool(trainer.strategy.reduce_boolean_decision(asked, all=False))

    def _stop(self) -> None:
        raise TrainingStopped(self.received or signal.SIGTERM, self.last)

    def _restore(self) -> None:
        restore(self._previous)
        self._previous = {}


_AT_ONCE = "At the second one nothing was saved; the checkpoint of the last validation stands."


@contextmanager
def supervising(trainer: pl.Trainer, last: Path) -> Iterator[None]:
    """Look after the processes that train, if those are not this one.

    Signals are passed on to them. The error that ends one of them is raised here.

    Raises:
        TrainingStopped: They stopped because of a signal.
        Exception: As raised in the other process.
    """
    received: list[signal.Signals] = []

    def forward(number: int, frame: FrameType | None) -> None:
        del frame
        at_once = number == signal.SIGINT and signal.SIGINT in received
        received.append(signal.Signals(number))
        for process in getattr(trainer.strategy.launcher, "procs", ()):
            if process.is_alive():
                process.kill() if at_once else process.terminate()
        if at_once:
            raise Stopped(number, _AT_ONCE)

    with listening(forward, STOPPING if trainer.world_size > 1 else ()):
        try:
            yield
        except ProcessExitedException:
            if not received:
                raise
            raise TrainingStopped(received[0], last) from None
        except ProcessRaisedException:
            if isinstance(trainer.strategy, SpawnedProcesses):
                trainer.strategy.raise_again()
            raise
