"""What a person sees of a run while it goes on."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
from tqdm import tqdm

from connectomics.process.output import prepare_output
from connectomics.training.keeping import require_finite

LINES_PER_EPOCH = 5


class ShowProgress(pl.Callback):
    """A bar with loss and patches per second; in a log file, a line now and then.

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
        self._bar: tqdm[Any] | None = None
        self._dice = ""
        self._left = TimeLeft()
        self._since = time.perf_counter()
        self._since_step = 0
        self._last_step = 0

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Arrive in a process started for this training, where Lightning is to be quiet too."""
        self.__dict__.update(state)
        prepare_output()
        _silence()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the bar, if there is a terminal to draw it in."""
        self._last_step = trainer.global_step
        self._left = TimeLeft(trainer.global_step)
        self._restart_clock(trainer)
        if self.visible and trainer.is_global_zero and sys.stderr.isatty():
            self._bar = tqdm(
                total=trainer.max_steps,
                initial=trainer.global_step,
                desc="training",
                unit="step",
                dynamic_ncols=True,
                bar_format="{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {postfix}",
            )

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Look at the loss when it is due."""
        step = trainer.global_step
        if step == self._last_step:  # gradients are being accumulated
            return
        self._last_step = step
        if self._bar is not None:
            self._bar.update(step - self._bar.n)
        if step % self.every_n_steps and step % self.line_every:
            return
        loss = float(trainer.callback_metrics["train_loss"])
        require_finite("train_loss", trainer)
        self._show(trainer, f"loss {loss:.4f}", line=step % self.line_every == 0)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the scores; validation does not count as training time."""
        scores = _scores(trainer.callback_metrics)
        self._dice = _dice(trainer.callback_metrics)
        if self.visible and trainer.is_global_zero:
            text = f"validation at step {trainer.global_step}: {scores}"
            tqdm.write(text, file=sys.stderr) if self._bar is not None else _print(text)
        self._restart_clock(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the bar as it stands, and say so if it stands before its end."""
        self._close()
        if self.visible and trainer.is_global_zero and trainer.global_step < trainer.max_steps:
            _print(f"stopped early, at step {trainer.global_step} of {trainer.max_steps}")

    def on_exception(self, *_: Any) -> None:
        """Leave the bar as it stands, so that the message begins on a line of its own."""
        self._close()

    def _show(self, trainer: pl.Trainer, loss: str, *, line: bool) -> None:
        if not self.visible or not trainer.is_global_zero:
            return
        steps = trainer.global_step - self._since_step
        speed = steps * self.patches_per_step / max(time.perf_counter() - self._since, 1e-9)
        left = self._left.after(trainer.global_step, trainer.max_steps)
        text = ", ".join(filter(None, (loss, self._dice, f"{speed:.3g} patches/s", left)))
        if self._bar is not None:
            self._bar.set_postfix_str(text)
        elif line:
            _print(f"step {trainer.global_step} of {trainer.max_steps}: {text}")
        if self._bar is not None or line:
            self._restart_clock(trainer)

    def _restart_clock(self, trainer: pl.Trainer) -> None:
        self._since, self._since_step = time.perf_counter(), trainer.global_step

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class TimeLeft:
    """How long a training still takes, by how long it has taken so far, validations included.

    Args:
        step: Where it begins.
    """

    def __init__(self, step: int = 0) -> None:
        self._first_step = step
        self._began = time.perf_counter()

    def after(self, step: int, steps: int) -> str:
        """In words; nothing where it cannot be told, or nothing is left."""
        done = step - self._first_step
        if done <= 0 or steps <= step:
            return ""
        return f"{in_words((time.perf_counter() - self._began) / done * (steps - step))} left"


def in_words(seconds: float) -> str:
    """A time to the precision in which it matters.

    >>> in_words(42), in_words(200), in_words(9000), in_words(200_000)
    ('42 s', '3 min', '2 h 30 min', '2 d 8 h')
    """
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 90:
        return f"{minutes} min"
    if hours < 48:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{hours // 24} d {hours % 24} h"


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


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


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
