"""What a person sees of a run while it goes on."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl

from connectomics.process.output import prepare_output
from connectomics.process.progress import IN_LOG, Progress, say
from connectomics.training.keeping import require_finite

LINES_PER_EPOCH = 5


class ShowProgress(pl.Callback):
    """A line with loss, Dice and patches per second; in a log file, one now and then.

    Also watches that the loss is a number, since it looks at it anyway.

    Args:
        patches_per_step: In all processes and accumulated batches together.
        steps_per_epoch: Optimizer steps between validations.
        every_n_steps: How often the loss is looked at. Looking waits for the GPU.
        visible: False to watch the loss and show nothing.
    """

    def __init__(
        self,
        *,
        patches_per_step: int,
        steps_per_epoch: int,
        every_n_steps: int,
        visible: bool = True,
    ) -> None:
        self.patches_per_step = patches_per_step
        self.every_n_steps = every_n_steps
        self.line_every = max(1, steps_per_epoch // LINES_PER_EPOCH)
        self.visible = visible
        self._line: Progress | None = None
        self._dice = ""
        self._since = time.perf_counter()
        self._since_step = 0
        self._last_step = 0
        self._by_time = -IN_LOG

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Arrive in a process started for this training, where Lightning is to be quiet too."""
        self.__dict__.update(state)
        prepare_output()
        _silence()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to count."""
        self._last_step = trainer.global_step
        self._restart_clock(trainer)
        if self.visible and trainer.is_global_zero:
            done = trainer.global_step
            self._line = Progress("train", trainer.max_steps, "steps", done=done)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Look at the loss when it is due."""
        step = trainer.global_step
        if step == self._last_step:  # gradients are being accumulated
            return
        if self._line is not None and self._line.add(step - self._last_step):
            self._by_time = time.monotonic()
        self._last_step = step
        if step % self.every_n_steps and step % self.line_every:
            return
        loss = float(trainer.callback_metrics["train_loss"])
        require_finite("train_loss", trainer)
        # A line that has just been written because a minute was over stands for this one.
        due = step % self.line_every == 0 and time.monotonic() - self._by_time > IN_LOG / 2
        self._show(trainer, f"loss {loss:.4f}", line=due)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the scores; validation does not count as training time."""
        scores = _scores(trainer.callback_metrics)
        self._dice = _dice(trainer.callback_metrics)
        if self.visible and trainer.is_global_zero:
            say(f"train: validation at step {trainer.global_step:,}: {scores}")
        self._restart_clock(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the line as it stands, and say so if it stands before its end."""
        self._close()
        if self.visible and trainer.is_global_zero and trainer.global_step < trainer.max_steps:
            say(f"train: stopped early, at step {trainer.global_step:,} of {trainer.max_steps:,}")

    def on_exception(self, *_: Any) -> None:
        """Leave the line as it stands, so that the message begins on a line of its own."""
        self._close()

    def _show(self, trainer: pl.Trainer, loss: str, *, line: bool) -> None:
        if self._line is None:
            return
        steps = trainer.global_step - self._since_step
        speed = steps * self.patches_per_step / max(time.perf_counter() - self._since, 1e-9)
        self._line.note = ", ".join(filter(None, (loss, self._dice, f"{speed:.3g} patches/s")))
        if self._line.on_terminal or line:
            self._line.show()
            self._restart_clock(trainer)

    def _restart_clock(self, trainer: pl.Trainer) -> None:
        self._since, self._since_step = time.perf_counter(), trainer.global_step

    def _close(self) -> None:
        if self._line is not None:
            self._line.end(keep=True)
            self._line = None


def _dice(metrics: Mapping[str, Any]) -> str:
    """The last Dice of each channel, or of all together."""
    of_channels = {
        name.removeprefix("val_dice_"): float(value)
        for name, value in metrics.items()
        if name.startswith("val_dice_")
    }
    if not of_channels and "val_dice" in metrics:
        of_channels = {"": float(metrics["val_dice"])}
    text = " ".join(f"{name} {value:.2f}".strip() for name, value in of_channels.items())
    return f"Dice {text}" if text else ""


def _scores(metrics: Mapping[str, Any]) -> str:
    values = {name: float(v) for name, v in metrics.items() if name.startswith("val_")}
    return ", ".join(f"{name} {value:.4f}" for name, value in values.items())


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence what Lightning says about itself: devices it looked for, products, habits.

    Its errors still come through.
    """
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        _silence()
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


_TALKATIVE = ("pytorch_lightning", "lightning_fabric", "torch.multiprocessing.spawn")


def _silence() -> None:
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric")
    # More workers than CPUs take turns; whoever waits for patches sees it in the rate.
    warnings.filterwarnings("ignore", message="This DataLoader will create")
    # Of 1x1x1 weights with channels last, which are too small to matter.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
