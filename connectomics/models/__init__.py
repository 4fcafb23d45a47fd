"""The network, and the checkpoints it is kept in.

Without a config: `RSUNet` is a module with plain keyword arguments, and `load_model` builds the
network of a checkpoint. With one: `build_model` takes a section of it, `check_network` finds its
faults. Torch, which takes seconds to import, is imported when these are asked for: what a config
says of `NETWORKS` is read without.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from connectomics.models.network import Network
from connectomics.models.networks import NETWORKS

if TYPE_CHECKING:
    from connectomics.models.activations import build_activation
    from connectomics.models.build import build_model, check_network
    from connectomics.models.checkpoint import Checkpoint, CheckpointFacts, read_checkpoint
    from connectomics.models.initial_weights import TakenWeights, take_weights
    from connectomics.models.load import TrainedModel, load_model, require_same_architecture
    from connectomics.models.rsunet import RSUNet

_MODULES = {
    "build_activation": "activations",
    "build_model": "build",
    "check_network": "build",
    "Checkpoint": "checkpoint",
    "CheckpointFacts": "checkpoint",
    "read_checkpoint": "checkpoint",
    "TakenWeights": "initial_weights",
    "take_weights": "initial_weights",
    "TrainedModel": "load",
    "load_model": "load",
    "require_same_architecture": "load",
    "RSUNet": "rsunet",
}
"""Where the names lie that import torch."""

__all__ = [
    "NETWORKS",
    "Checkpoint",
    "CheckpointFacts",
    "Network",
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


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
