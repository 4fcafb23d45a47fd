"""Training: from a config to checkpoints."""

from __future__ import annotations

from connectomics.training.stopping import TrainingStopped
from connectomics.training.trainer import FitResult, Training, fit, prepare

__all__ = [
    "FitResult",
    "Training",
    "TrainingStopped",
    "fit",
    "prepare",
]
