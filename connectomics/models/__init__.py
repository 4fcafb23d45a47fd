"""The network, its losses, and the checkpoints it is kept in.

Without a config: `RSUNet` and the losses are modules with plain keyword arguments, and
`load_model` builds the network of a checkpoint. With one: `build_model` and `build_loss` take
sections of it, `check_model` finds its faults.
"""

from __future__ import annotations

from connectomics.models.activations import build_activation
from connectomics.models.build import LOSSES, MODELS, build_loss, build_model, check_model
from connectomics.models.checkpoint import Checkpoint, CheckpointFacts, read_checkpoint
from connectomics.models.initial_weights import TakenWeights, take_weights
from connectomics.models.load import TrainedModel, load_model, require_same_architecture
from connectomics.models.losses import DiceLoss, WeightedBCEWithLogitsLoss, WeightedCE
from connectomics.models.rsunet import RSUNet
from connectomics.models.summed_loss import LossTerm, SummedLoss

__all__ = [
    "LOSSES",
    "MODELS",
    "Checkpoint",
    "CheckpointFacts",
    "DiceLoss",
    "LossTerm",
    "RSUNet",
    "SummedLoss",
    "TakenWeights",
    "TrainedModel",
    "WeightedBCEWithLogitsLoss",
    "WeightedCE",
    "build_activation",
    "build_loss",
    "build_model",
    "check_model",
    "load_model",
    "read_checkpoint",
    "require_same_architecture",
    "take_weights",
]
