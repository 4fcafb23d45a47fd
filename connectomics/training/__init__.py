"""Training: from a config to checkpoints, and from a checkpoint to its network."""

from __future__ import annotations

from connectomics.training.build import choose_devices
from connectomics.training.checkpoint import (
    load_network,
    read_checkpoint,
    require_same_grey_values,
)
from connectomics.training.stopping import TrainingStopped
from connectomics.training.trainer import FitResult, Training, fit, prepare

__all__ = [
    "FitResult",
    "Training",
    "TrainingStopped",
    "choose_devices",
    "fit",
    "load_network",
    "prepare",
    "read_checkpoint",
    "require_same_grey_values",
]
