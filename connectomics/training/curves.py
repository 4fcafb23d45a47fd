"""Precision over recall of each kind of foreground, voxel by voxel, and how a run ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from connectomics.training.scores import ScoredChannels, foreground_of, kind_names
from connectomics.training.tensorboard import RunLogger

THRESHOLDS = 127


def counts_by_threshold(probability: Tensor, truth: Tensor, weight: Tensor | None = None) -> Tensor:
    """Count voxels by their probability.

    Args:
        probability: (B, C, Z, Y, X), 0 to 1.
        truth: (B, C, Z, Y, X), 0 or 1.
        weight: (B, 1, Z, Y, X), 0 where a voxel does not count; or None.

    Returns:
        (2, C, THRESHOLDS) float64: of the foreground and of the background of each channel, how
        many voxels have a probability from threshold i up to the next. Threshold i is
        i / (THRESHOLDS - 1).
    """
    channels = probability.shape[1]
    bins = (probability * (THRESHOLDS - 1)).long().clamp(0, THRESHOLDS - 1)
    counts = torch.zeros(2, channels, THRESHOLDS, dtype=torch.float64, device=probability.device)
    counted = torch.ones_like(truth[:, 0], dtype=torch.bool) if weight is None else weight[:, 0] > 0
    for channel in range(channels):
        foreground = truth[:, channel] > 0
        for row, kept in enumerate((foreground & counted, ~foreground & counted)):
            counts[row, channel] = torch.bincount(bins[:, channel][kept], minlength=THRESHOLDS)
    return counts


def confusion(foreground: np.ndarray, background: np.ndarray) -> np.ndarray:
    """(4, thresholds) true and false positives, true and false negatives, at p >= threshold.

    >>> confusion(np.array([1, 0, 3]), np.array([5, 2, 0])).tolist()
    [[4, 3, 3], [7, 2, 0], [0, 5, 7], [0, 1, 1]]
    """
    positives = [np.cumsum(of[::-1])[::-1] for of in (foreground, background)]
    negatives = [background.sum() - positives[1], foreground.sum() - positives[0]]
    return np.stack([*positives, *negatives])


class LogCurves(pl.Callback):
    """Puts a precision-recall curve of each channel into TensorBoard, and at last the settings.

    Args:
        channels: Which channels are what.
        settings: What the run was made of, as plain values, to stand beside its last scores.
    """

    def __init__(self, channels: Sequence[ScoredChannels], settings: Mapping[str, Any]) -> None:
        self.channels = tuple(channels)
        self.settings = dict(settings)
        self._counts: Tensor | None = None

    def on_validation_start(self, *_: Any) -> None:
        """Begin anew."""
        self._counts = None

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Add a batch."""
        if self.channels:
            probability, truth = foreground_of(self.channels, outputs, batch["label"])
            counts = counts_by_threshold(probability, truth, batch.get("mask"))
            self._counts = counts if self._counts is None else self._counts + counts

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the curves of all patches of all processes together."""
        if self._counts is None:
            return
        total = trainer.strategy.reduce(self._counts, reduce_op="sum").cpu().numpy()
        for k, name in enumerate(kind_names(self.channels)):
            for logger in _ours(trainer):
                counts = confusion(total[0, k], total[1, k])
                logger.log_curve(f"precision_recall/{name}", counts, trainer.global_step)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write what came of the settings."""
        metrics = trainer.callback_metrics.items()
        scores = {f"when_done/{name}": float(v) for name, v in metrics if name.startswith("val_")}
        for logger in _ours(trainer):
            logger.log_outcome(self.settings, scores)


def _ours(trainer: pl.Trainer) -> list[RunLogger]:
    return [logger for logger in trainer.loggers if isinstance(logger, RunLogger)]
