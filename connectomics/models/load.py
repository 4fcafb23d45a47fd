"""From a checkpoint to its network, built from what the checkpoint itself says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from connectomics.config.schema import ModelSection
from connectomics.errors import CheckpointError, ConnectomicsError, Fault
from connectomics.models.activations import build_activation
from connectomics.models.build import build_model
from connectomics.models.checkpoint import Checkpoint, CheckpointFacts, read_checkpoint
from connectomics.models.checkpoint_file import DAMAGED


class TrainedModel(nn.Module):
    """A trained network, and what its checkpoint says about it.

    Attributes:
        network: Images (B, 1, Z, Y, X), normalised as in training, to logits (B, C, Z, Y, X).
        facts: `channels` (their names), `image_transform`, `statistics`, `resolution`, `step`...
    """

    def __init__(self, network: nn.Module, facts: CheckpointFacts) -> None:
        super().__init__()
        self.network = network
        self.facts = facts
        self._activate = build_activation(facts.channel_activations)

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of the channels."""
        unnamed = tuple(f"channel {i}" for i in range(self.facts.model.out_channels))
        return self.facts.channels or unnamed

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, C, Z, Y, X) of images (B, 1, Z, Y, X)."""
        return self.network(images)

    def activate(self, logits: Tensor) -> Tensor:
        """Probabilities (B, C, Z, Y, X) of logits."""
        return self._activate(logits)


def load_model(checkpoint: Checkpoint | str | Path, *, use_ema: bool = True) -> TrainedModel:
    """Build the network that a checkpoint describes, with its weights.

    Args:
        checkpoint: From `read_checkpoint`, or its path, or that of its run.
        use_ema: Take the moving average of the weights, where the checkpoint has one.

    Returns:
        The network, on the CPU, in evaluation mode.

    Raises:
        CheckpointError: It is no checkpoint of this package or a damaged one, its weights do
            not fit the architecture it names, or they are not numbers.
    """
    if not isinstance(checkpoint, Checkpoint):
        checkpoint = read_checkpoint(checkpoint)
    weights, where = checkpoint.weights(use_ema=use_ema), str(checkpoint.path)
    network = _empty_network(checkpoint.facts.model, where)
    if faults := _differing_tensors(where, weights, network.state_dict()):
        raise CheckpointError.of(faults)
    network.load_state_dict(weights, assign=True)
    return TrainedModel(network, checkpoint.facts).eval()


def require_same_architecture(checkpoint: Checkpoint, model: ModelSection) -> None:
    """Check that a checkpoint's network is the one a config describes.

    Raises:
        CheckpointError: It is not; every differing setting is named.
    """
    there = checkpoint.facts.model
    found, wanted = (one.model_dump(mode="json") for one in (there, model))
    same = there.arch == model.arch
    parts = ("in_channels", "out_channels", model.arch.type) if same else ("arch",)
    faults = [
        Fault(
            f"model.{key}",
            f"{checkpoint.path} was trained with {_at(found, key)}, the config says "
            f"{_at(wanted, key)}.",
            "Use the config of the run that wrote the checkpoint, beside its checkpoints folder.",
        )
        for key in _leaves(wanted, parts)
        if _at(found, key) != _at(wanted, key)
    ]
    if faults:
        raise CheckpointError.of(faults)


def _empty_network(model: ModelSection, where: str) -> nn.Module:
    """The network without memory: what a checkpoint claims need not be what it holds."""
    problem = "its entry connectomics.model"
    try:
        with torch.device("meta"):
            return build_model(model)
    except ConnectomicsError as error:
        raise CheckpointError.of(
            Fault(where, f"{problem}.{f.where}: {f.problem}", f.remedy) for f in error.faults
        ) from None
    except (RuntimeError, ValueError, TypeError, OverflowError) as error:
        problem += f" makes no network ({str(error).splitlines()[0]})."
        raise CheckpointError(where, problem, DAMAGED) from error


def _leaves(section: Mapping[str, Any], keys: Iterable[str]) -> Iterable[str]:
    for key in keys:
        if isinstance(section[key], Mapping):
            yield from (f"{key}.{inner}" for inner in section[key])
        else:
            yield key


def _at(section: Mapping[str, Any], dotted: str) -> Any:
    value: Any = section
    for key in dotted.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _differing_tensors(
    where: str, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], *, most: int = 3
) -> list[Fault]:
    """Name the first few tensors that are missing, too many, or of another shape or type."""
    shapes, expected = _shapes(found), _shapes(wanted)
    differing = [n for n in {**expected, **shapes} if shapes.get(n) != expected.get(n)]
    faults = [
        Fault(
            where,
            f"{name}: the checkpoint has {shapes.get(name, 'no such tensor')}, the network "
            f"it describes {expected.get(name, 'no such tensor')}.",
        )
        for name in differing[:most]
    ]
    if len(differing) > most:
        rest = len(differing) - most
        faults.append(Fault(where, f"{rest} more tensors differ.", "It is another network."))
    return faults


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    return {
        name: f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
        for name, tensor in tensors.items()
    }
