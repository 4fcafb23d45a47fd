"""The network and its losses.

Without a config: `RSUNet` and the losses are modules with plain keyword arguments. With one:
`build_model` and `build_loss` take sections of it, `check_model` finds its faults.
"""

from __future__ import annotations

from connectomics.models.build import LOSSES, MODELS, build_loss, build_model, check_model
from connectomics.models.losses import DiceLoss, WeightedBCEWithLogitsLoss, WeightedCE
from connectomics.models.rsunet import RSUNet
from connectomics.models.summed_loss import LossTerm, SummedLoss

__all__ = [
    "LOSSES",
    "MODELS",
    "DiceLoss",
    "LossTerm",
    "RSUNet",
    "SummedLoss",
    "WeightedBCEWithLogitsLoss",
    "WeightedCE",
    "build_loss",
    "build_model",
    "check_model",
]
