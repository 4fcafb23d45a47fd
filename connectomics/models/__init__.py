"""The network, and the checkpoints it is kept in.

Without a config: `RSUNet` is a module with plain keyword arguments, and `load_model` builds the
network of a checkpoint. With one: `build_model` takes a section of it, `check_network` finds its
faults.
"""

from __future__ import annotations

from connectomics.models.activations import build_activation
from connectomics.models.build import MODELS, build_model, check_network
from connectomics.models.checkpoint import Checkpoint, CheckpointFacts, read_checkpoint
from connectomics.models.initial_weights import TakenWeights, take_weights
from connectomics.models.load import TrainedModel, load_model, require_same_architecture
from connectomics.models.rsunet import RSUNet

__all__ = [
    "MODELS",
    "Checkpoint",
    "CheckpointFacts",
    "RSUNet",
    "TakenWeights",
    "TrainedModel",
    "build_activation",
    "build_model",
    "check_network",
    "load_model",
    "read_checkpoint",
    "require_same_architecture",
    "take_weights",
]
