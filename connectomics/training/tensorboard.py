"""What goes to TensorBoard."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.loggers.logger import (
    DummyExperiment,  # pyright: ignore[reportPrivateImportUsage]
)


class RunLogger(TensorBoardLogger):
    """TensorBoard files in one folder of the run, with the optimizer step as their only axis.

    A disk that cannot be written costs the curves from there on, which is said once, and not the
    training.

    Attributes:
        lost: Whether it could not be written.
        trainer: The one that logs here, which knows how many optimizer steps are done: Lightning
            numbers what it logs after step n as n - 1, and otherwise after a training was resumed.
    """

    lost = False
    trainer: pl.Trainer | None = None

    @property
    def experiment(self) -> Any:
        """What writes; in processes but the first, and after a failure, nothing does."""
        threading.excepthook = _excepthook
        if not self.lost:
            try:
                return super().experiment
            except OSError as error:
                self._give_up(error)
        return DummyExperiment()

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Write scalars, but not Lightning's own epoch, of which a run here has only one."""
        kept = {name: value for name, value in metrics.items() if name != "epoch"}
        done = step if self.trainer is None else self.trainer.global_step
        if kept:
            self._try(lambda: super(RunLogger, self).log_metrics(kept, done))

    def log_picture(self, name: str, picture: np.ndarray, step: int) -> None:
        """Write a (height, width, 3) uint8 picture; in processes but the first, do nothing."""
        self._try(lambda: self.experiment.add_image(name, picture, step, dataformats="HWC"))

    def log_curve(self, name: str, counts: np.ndarray, step: int) -> None:
        """Write a precision-recall curve.

        Args:
            name: Its name.
            counts: (4, thresholds): true and false positives, true and false negatives.
            step: Where training stands.
        """
        true_positives, false_positives, true_negatives, false_negatives = counts
        precision = true_positives / np.maximum(true_positives + false_positives, 1)
        recall = true_positives / np.maximum(true_positives + false_negatives, 1)
        self._try(
            lambda: self.experiment.add_pr_curve_raw(
                name,
                true_positives,
                false_positives,
                true_negatives,
                false_negatives,
                precision,
                recall,
                global_step=step,
                num_thresholds=counts.shape[1],
            )
        )

    def log_outcome(self, settings: Mapping[str, Any], scores: Mapping[str, float]) -> None:
        """Write what a run was made of beside what came of it."""
        self._try(lambda: super(RunLogger, self).log_hyperparams(dict(settings), dict(scores)))

    def save(self) -> None:
        """Bring everything to the disk; the run folder holds the config already."""
        self._try(lambda: self.experiment.flush())

    def finalize(self, status: str) -> None:
        """Close the files."""
        with contextlib.suppress(OSError):  # if that fails, it has been said, or hardly matters
            super().finalize(status)

    def _try(self, write: Callable[[], object]) -> None:
        if not self.lost:
            try:
                write()
            except (OSError, ValueError) as error:
                # Lightning makes ValueErrors of what goes wrong with a scalar.
                cause = error.__cause__ if isinstance(error, ValueError) else error
                if not isinstance(cause, OSError):
                    raise
                self._give_up(cause)

    def _give_up(self, error: OSError) -> None:
        self.lost = True
        print(
            f"train: warning: {self.log_dir} cannot be written: {error.strerror or error}.\n"
            "  Training goes on without TensorBoard. Free some space, for checkpoints too.",
            file=sys.stderr,
        )


_others = threading.excepthook


def _excepthook(arguments: threading.ExceptHookArgs) -> None:
    """Pass over what ends TensorBoard's own thread: its next write raises it again."""
    if not issubclass(arguments.exc_type, OSError):
        _others(arguments)
