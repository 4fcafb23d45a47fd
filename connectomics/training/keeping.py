"""Which checkpoints a run keeps."""

from __future__ import annotations

import math
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl

from connectomics.checkpoints import LAST
from connectomics.errors import DataError
from connectomics.files import atomic_path


@dataclass(frozen=True)
class BestCheckpoint:
    """A checkpoint that was kept for its score, read from its name.

    >>> BestCheckpoint.parse(Path("step_000120_val_loss_0.25.ckpt"))
    BestCheckpoint(path=PosixPath('step_000120_val_loss_0.25.ckpt'), step=120, \
monitor='val_loss', score=0.25)
    """

    path: Path
    step: int
    monitor: str
    score: float

    @classmethod
    def parse(cls, path: Path) -> BestCheckpoint | None:
        """Read a file's name; None if it is not one of ours."""
        found = re.fullmatch(r"step_(\d+)_(.+)_(-?[\d.]+(?:e[-+]\d+)?|-?inf|nan)\.ckpt", path.name)
        return cls(path, int(found[1]), found[2], float(found[3])) if found else None


def best_checkpoints(
    folder: Path, monitor: str, mode: Literal["min", "max"]
) -> list[BestCheckpoint]:
    """List the checkpoints kept for `monitor` in a folder, best first; the earlier wins a tie.

    Those whose score is no finite number come last.
    """
    parsed = (BestCheckpoint.parse(path) for path in folder.glob("step_*.ckpt"))
    sign = 1 if mode == "min" else -1
    return sorted(
        (best for best in parsed if best is not None and best.monitor == monitor),
        key=lambda best: (*_rank(sign * best.score), best.step),
    )


def _rank(score: float) -> tuple[bool, float]:
    return (False, score) if math.isfinite(score) else (True, 0.0)


class KeepCheckpoints(pl.Callback):
    """Writes `last.ckpt` after every validation and keeps the best few beside it.

    Also ends training with a validation: at `max_steps`, wherever the epoch is.

    Args:
        folder: Where they go.
        monitor: The logged score that ranks them.
        mode: "min" if less is better.
        save_top_k: How many are kept; 0 for none.
    """

    def __init__(
        self, folder: Path, *, monitor: str, mode: Literal["min", "max"], save_top_k: int
    ) -> None:
        self.folder = folder
        self.monitor = monitor
        self.mode: Literal["min", "max"] = mode
        self.save_top_k = save_top_k

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Ask for the final validation."""
        if trainer.global_step >= trainer.max_steps:
            trainer.should_stop = True

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save, unless training has gone astray: then what was saved before is worth more.

        Raises:
            DataError: The loss is no finite number, or the monitored score is infinite.
        """
        last = self.folder / LAST
        score = float(trainer.callback_metrics[self.monitor])
        require_finite("val_loss", trainer, last)
        if math.isinf(score):
            require_finite(self.monitor, trainer, last)
        trainer.save_checkpoint(last)
        if trainer.is_global_zero and self.save_top_k and not math.isnan(score):
            name = f"step_{trainer.global_step:06d}_{self.monitor}_{score:.6g}.ckpt"
            link(last, self.folder / name)
            for worse in best_checkpoints(self.folder, self.monitor, self.mode)[self.save_top_k :]:
                worse.path.unlink()


def require_finite(score: str, trainer: pl.Trainer, last: Path | None = None) -> None:
    """Stop a training whose loss is no number any more.

    Args:
        score: One that has been logged.
        trainer: That of the training.
        last: Where its last checkpoint lies, if there is one yet.

    Raises:
        DataError: The score is NaN or infinite.
    """
    value = float(trainer.callback_metrics[score])
    if math.isfinite(value):
        return
    name = "the loss" if score == "train_loss" else score
    is_what = "is not a number" if math.isnan(value) else f"is infinite ({value:g})"
    remedy = "Lower optimization.optimizer.lr, clip gradients, or use precision 32-true."
    if last is not None and last.is_file():
        remedy += f" {last} is of the validation before; --checkpoint goes on from it."
    raise DataError(f"training, step {trainer.global_step}", f"{name} {is_what}.", remedy)


def link(source: Path, path: Path) -> None:
    """Give a file a second name; `last.ckpt` is replaced later, never overwritten in place."""
    with atomic_path(path) as temporary:
        try:
            os.link(source, temporary)
        except OSError:  # a file system without hard links
            shutil.copyfile(source, temporary)
