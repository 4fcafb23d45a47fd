"""Checkpoints: written whole or not at all, read without running anything in them.

Beside what Lightning needs to go on, a checkpoint holds under the key `connectomics`, as plain
values:

    version             of this package
    model               the `model` section
    image_transform     the `data.image_transform` section
    statistics          grey-value statistics pooled over the training volumes, or None where
                        every volume has its own
    targets             the names of the targets
    channel_activations how logits become probabilities
    resolution          nm per voxel (z, y, x) of the training volumes, or None
    step, metrics       how far training was, and how good
    random_state        of PyTorch's generators
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor, nn

from connectomics.config.schema import ImageTransformSection, ModelSection
from connectomics.errors import CheckpointError, Fault
from connectomics.files import atomic_path
from connectomics.models import build_model
from connectomics.training.ema import STATE_KEY

Checkpoint = dict[str, Any]

ARCHITECTURE = ("arch", "in_channels", "out_channels", "rsunet")
"""The keys of the `model` section that make the network."""

_NO_CHECKPOINT = "Give a .ckpt file that training wrote, such as checkpoints/last.ckpt."


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint that this package wrote.

    Nothing in the file is executed: only tensors and plain values are accepted.

    Args:
        path: The `.ckpt` file.

    Returns:
        Lightning's keys (`state_dict`, `callbacks`, ...) and `connectomics`; tensors lie on
        the CPU.

    Raises:
        CheckpointError: There is no such file, it is no checkpoint, it is damaged, it holds
            code, or it comes from another program.
    """
    path = Path(path)
    where = str(path)
    if not path.is_file():
        raise CheckpointError(where, "no such file.", "Check the path given to --checkpoint.")
    if not zipfile.is_zipfile(path):
        raise CheckpointError(where, "is not a checkpoint, or is cut off.", _NO_CHECKPOINT)
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        problem = "was refused: it holds something other than tensors and plain values."
        raise CheckpointError(
            where, problem, "Nothing in it was run. Use a checkpoint that you trust."
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        raise CheckpointError(where, "is damaged or not a checkpoint.", _NO_CHECKPOINT) from error
    if not isinstance(checkpoint, dict) or "connectomics" not in checkpoint:
        raise CheckpointError(
            where, "is a file of PyTorch's, but not a checkpoint of this package.", _NO_CHECKPOINT
        )
    return checkpoint


def load_network(
    checkpoint: Checkpoint | str | Path, model: ModelSection, *, use_ema: bool = True
) -> nn.Module:
    """Build the network of a config and give it the weights of a checkpoint.

    Args:
        checkpoint: From `read_checkpoint`, or its path.
        model: The `model` section; its architecture is that of the checkpoint.
        use_ema: Take the moving average of the weights, where the checkpoint has one.

    Returns:
        The network, on the CPU, in evaluation mode.

    Raises:
        CheckpointError: The checkpoint belongs to another architecture; the message names the
            settings that differ, or else the tensors.
    """
    if not isinstance(checkpoint, dict):
        checkpoint = read_checkpoint(checkpoint)
    require_same_architecture(checkpoint, model)
    network = build_model(model)
    weights = network_weights(checkpoint, use_ema=use_ema)
    faults = _differing_tensors(weights, network.state_dict())
    if faults:
        raise CheckpointError.of(faults)
    network.load_state_dict(weights)
    return network.eval()


def network_weights(checkpoint: Checkpoint, *, use_ema: bool = True) -> dict[str, Tensor]:
    """The weights in a checkpoint, under the names of the network's own `state_dict`."""
    average = checkpoint.get("callbacks", {}).get(STATE_KEY, {}).get("network")
    if use_ema and average is not None:
        return dict(average)
    prefix = "network."
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in checkpoint["state_dict"].items()
        if name.startswith(prefix)
    }


def require_same_architecture(checkpoint: Checkpoint, model: ModelSection) -> None:
    """Check that a checkpoint's network is the one a config describes.

    Raises:
        CheckpointError: It is not; every differing setting is named.
    """
    found, wanted = checkpoint["connectomics"]["model"], model.model_dump(mode="json")
    faults = [
        Fault(
            f"model.{key}",
            f"the checkpoint was trained with {_at(found, key)}, the config says "
            f"{_at(wanted, key)}.",
            "Use the config of the run that wrote the checkpoint, beside its checkpoints folder.",
        )
        for key in _leaves(wanted)
        if _at(found, key) != _at(wanted, key)
    ]
    if faults:
        raise CheckpointError.of(faults)


def require_same_grey_values(checkpoint: Checkpoint, transform: ImageTransformSection) -> None:
    """Check that a config prepares images as the checkpoint's training did.

    Raises:
        CheckpointError: It does not; every differing setting is named.
    """
    found = checkpoint["connectomics"]["image_transform"]
    wanted = transform.model_dump(mode="json")
    faults = [
        Fault(
            f"data.image_transform.{key}",
            f"the checkpoint was trained with {found.get(key)}, the config says {value}.",
            "Prepare test images as in training.",
        )
        for key, value in wanted.items()
        if found.get(key) != value
    ]
    if faults:
        raise CheckpointError.of(faults)


def _leaves(section: Mapping[str, Any]) -> Iterable[str]:
    for key in ARCHITECTURE:
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
    found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], *, most: int = 3
) -> list[Fault]:
    """Name the first few tensors that are missing, too many, or of another shape."""
    shapes = {name: tuple(tensor.shape) for name, tensor in found.items()}
    expected = {name: tuple(tensor.shape) for name, tensor in wanted.items()}
    differing = [n for n in {**expected, **shapes} if shapes.get(n) != expected.get(n)]
    faults = [
        Fault(
            name,
            f"the checkpoint has {shapes.get(name, 'no such tensor')}, the network "
            f"{expected.get(name, 'no such tensor')}.",
        )
        for name in differing[:most]
    ]
    if len(differing) > most:
        rest = len(differing) - most
        faults.append(Fault("", f"{rest} more tensors differ.", "It is another network."))
    return faults


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's way to the disk: a checkpoint appears whole, and is read as plain data."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write beside `path`, then move into place; what stood there survives a failure.

        Raises:
            DataError: The folder cannot be written, or the disk is full.
        """
        # Through memory: a full disk met by torch.save itself comes out as one of several
        # errors that do not name the cause.
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        with atomic_path(path) as temporary:
            temporary.write_bytes(buffer.getbuffer())

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = True
    ) -> Checkpoint:
        """Read tensors and plain values only, to the CPU, whatever is asked for."""
        return torch.load(path, map_location="cpu", weights_only=True)
