"""How a training stops without losing any work."""

from __future__ import annotations

import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from connectomics import errors


class TrainingStopped(SystemExit):
    """Training was stopped by a signal, after saving; ends the program with 128 + the signal.

    Attributes:
        signal: SIGINT (exit code 130) or SIGTERM (143).
        checkpoint: What was saved.
    """

    def __init__(self, received: signal.Signals, checkpoint: Path) -> None:
        self.signal = received
        self.checkpoint = checkpoint
        super().__init__(128 + received)

    def __str__(self) -> str:
        return (
            f"Stopped by {self.signal.name}. The state is saved in {self.checkpoint}; "
            f"go on with --mode train --checkpoint {self.checkpoint}"
        )


class StopOnSignal(pl.Callback):
    """On SIGINT or SIGTERM: saves `last.ckpt` and raises `TrainingStopped`.

    It acts after the optimizer step, or the validation, that is under way. A second SIGINT
    does not wait. In a process that was started for this training it heeds SIGTERM only: a
    terminal sends SIGINT to all processes, and the first of them passes on what is to be done.

    Place it behind every callback with a state.

    Args:
        last: The checkpoint to write.
        steps_per_epoch: Optimizer steps between validations, which save by themselves.
    """

    def __init__(self, last: Path, *, steps_per_epoch: int) -> None:
        self.last = last
        self.steps_per_epoch = steps_per_epoch
        self.received: signal.Signals | None = None
        self._heeds = (signal.SIGINT, signal.SIGTERM)
        self._previous: dict[signal.Signals, Any] = {}
        self._last_step = 0

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Arrive in a process that was started for this training."""
        self.__dict__.update(state)
        self._heeds = (signal.SIGTERM,)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

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
            self._stop(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop if asked to; `KeepCheckpoints` has just saved."""
        if self._asked(trainer):
            self._stop(trainer)

    def on_train_end(self, *_: Any) -> None:
        """Listen no longer."""
        self._restore()

    def on_exception(self, *_: Any) -> None:
        """Listen no longer."""
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.received is signal.SIGINT and number == signal.SIGINT:
            # Not KeyboardInterrupt, of which Lightning makes exit code 1.
            raise SystemExit(128 + number)
        self.received = signal.Signals(number)

    def _asked(self, trainer: pl.Trainer) -> bool:
        """Whether any process has been told to stop; all get the same answer."""
        asked = self.received is not None
        if trainer.world_size == 1:
            return asked
        return bool(trainer.strategy.reduce_boolean_decision(asked, all=False))

    def _stop(self, trainer: pl.Trainer) -> None:
        stopped = TrainingStopped(self.received or signal.SIGTERM, self.last)
        if trainer.world_size == 1:
            print(f"\n{stopped}", file=sys.stderr)
        raise stopped

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}


@contextmanager
def supervising(trainer: pl.Trainer, last: Path) -> Iterator[None]:
    """Look after the processes that train, if those are not this one.

    Signals are passed on to them. An error of ours that ends one of them is raised here.

    Raises:
        TrainingStopped: They stopped because of a signal.
        ConnectomicsError: As raised in the other process, its faults as one.
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
            raise SystemExit(128 + number)

    previous = {} if trainer.world_size == 1 else listen(forward)
    try:
        yield
    except ProcessExitedException:
        if not received:
            raise
        stopped = TrainingStopped(received[0], last)
        print(f"\n{stopped}", file=sys.stderr)
        raise stopped from None
    except ProcessRaisedException as error:
        _raise_ours(str(error))
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _raise_ours(report: str) -> None:
    """Raise the error of this package that a process's traceback ends with, if it does."""
    found = re.search(r"^connectomics\.errors\.(\w+): \1: (.*)\Z", report, re.DOTALL | re.MULTILINE)
    if found:
        raise getattr(errors, found[1])("", found[2].strip()) from None


def listen(
    handler: Callable[[int, FrameType | None], Any],
    numbers: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM),
) -> dict[signal.Signals, Any]:
    """Install a handler for signals; outside the main thread, do nothing.

    Returns:
        The handlers that were there, to be put back.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, handler) for number in numbers}
