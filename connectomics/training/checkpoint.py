"""Checkpoints as training writes them, whole or not at all, and goes on from them."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor

from connectomics.config.schema import Config
from connectomics.errors import CheckpointError, ConfigError, Fault
from connectomics.files import atomic_path
from connectomics.models import Checkpoint, read_checkpoint, require_same_architecture

_ENTRIES: dict[str, Callable[[Any], bool]] = {
    "global_step": lambda value: type(value) is int and value >= 0,
    "epoch": lambda value: type(value) is int and value >= 0,
    "loops": lambda value: isinstance(value, dict),
    "callbacks": lambda value: isinstance(value, dict),
    "optimizer_states": lambda value: _is_one_dict(value, "state", "param_groups"),
    "lr_schedulers": lambda value: _is_one_dict(value, "step"),
}
"""What Lightning goes on from, and whether it is what training wrote."""


def require_resumable(checkpoint: Checkpoint, config: Config) -> None:
    """Check that training can go on from a checkpoint.

    Raises:
        CheckpointError: It is one of another network, or what training needs is not in it.
        ConfigError: It has done all the steps already.
    """
    require_same_architecture(checkpoint, config.model)
    faults = [
        Fault(
            str(checkpoint.path),
            f"its entry {entry} is missing or not what training wrote.",
            "Go on from another checkpoint; --mode test can use this one.",
        )
        for entry, fits in _ENTRIES.items()
        if not fits(checkpoint.content.get(entry))
    ]
    facts = checkpoint.facts
    if not all(map(_is_random_state, (facts.random_state, *facts.other_random_states))):
        problem = "its entry connectomics.random_state is not one of PyTorch's."
        faults.append(Fault(str(checkpoint.path), problem, "Go on from another checkpoint."))
    if faults:
        raise CheckpointError.of(faults)
    for use_ema in (False, True):
        checkpoint.weights(use_ema=use_ema)
    done, wanted = facts.step, config.optimization.max_steps
    if done >= wanted:
        raise ConfigError(
            "optimization.max_steps",
            f"{wanted} steps are wanted, and {checkpoint.path} has done {done}.",
            f"Raise it above {done} to train on, or use --mode test to test.",
        )


def _is_one_dict(value: Any, *keys: str) -> bool:
    """Whether it is a list of one dictionary that has some keys."""
    one = value[0] if isinstance(value, list) and len(value) == 1 else None
    return isinstance(one, dict) and all(key in one for key in keys)


def _is_random_state(state: Mapping[str, Any]) -> bool:
    cpu, gpu = state.get("cpu"), state.get("gpu")
    try:
        torch.Generator().set_state(cpu)  # type: ignore[arg-type]
    except (RuntimeError, TypeError):
        return False
    return gpu is None or (isinstance(gpu, Tensor) and gpu.dtype == torch.uint8)


HANDED_OVER = ".temp.ckpt"
"""The file in which Lightning brings bare weights from the process that trained to the first."""


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
    ) -> dict[str, Any]:
        """Read tensors and plain values only, to the CPU, whatever is asked for."""
        if Path(path).name == HANDED_OVER:
            return torch.load(path, map_location="cpu", weights_only=True)
        return read_checkpoint(path).content
