"""Training: from a config to checkpoints."""

from __future__ import annotations

from connectomics.training.devices import (
    choose_devices,
    choose_precision,
    precision_to_predict,
    threads_of_torch,
)
from connectomics.training.stopping import TrainingStopped
from connectomics.training.trainer import FitResult, Training, fit, prepare

__all__ = [
    "FitResult",
    "Training",
    "TrainingStopped",
    "choose_devices",
    "choose_precision",
    "fit",
    "precision_to_predict",
    "prepare",
    "threads_of_torch",
]
