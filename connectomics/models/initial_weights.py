"""Weights that another training has learned, as far as they fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from connectomics.checkpoints import find_checkpoint
from connectomics.errors import CheckpointError
from connectomics.models.checkpoint import FACTS, read_checkpoint
from connectomics.models.checkpoint_file import read_checkpoint_file

PLACE = "model.initial_weights"
REMEDY = "Name a checkpoint of training, or a state dict saved by torch.save."


@dataclass(frozen=True)
class TakenWeights:
    """What `take_weights` did.

    Attributes:
        file: Where the weights come from.
        taken: Names of the network's tensors that were found and have their shape.
        left: The others, with the reason.
        unused: Tensors of the file that no tensor of the network took.
    """

    file: Path
    taken: tuple[str, ...]
    left: dict[str, str]
    unused: tuple[str, ...]

    def describe(self) -> str:
        """Say it in a line: how many were taken, and which were not."""
        text = f"{len(self.taken)} of {len(self.taken) + len(self.left)} tensors start from "
        text += str(self.file)
        named = [f"{name} ({reason})" for name, reason in self.left.items()]
        if named:
            text += f"; anew: {', '.join(named)}"
        return text + (f"; not used: {', '.join(self.unused)}" if self.unused else "")


def take_weights(network: nn.Module, file: str | Path) -> TakenWeights:
    """Give a network the weights in a file that fit it, by name and shape.

    Args:
        network: Changed in place.
        file: A checkpoint of training or the folder of a run, of which the moving average is taken,
            or a state dict, bare or under the key `state_dict`. A prefix that all its names have
            is no matter.

    Raises:
        CheckpointError: There is no such file, it holds no weights, numbers that are none, or
            nothing that fits.
    """
    path = find_checkpoint(Path(file))
    if not path.is_file():
        raise CheckpointError(PLACE, f"there is no file {path}.", REMEDY)
    wanted = network.state_dict()
    found = _without_prefix(_read(path), wanted)
    fitting = [name for name in wanted if name in found and found[name].shape == wanted[name].shape]
    if not any(wanted[name].ndim > 1 for name in fitting):  # a bias alone is nothing learned
        name = next(iter(wanted))
        held = f"{next(iter(found))} {tuple(next(iter(found.values())).shape)}, ..."
        problem = f"nothing in {path} fits the network: it has {name} "
        problem += f"{tuple(wanted[name].shape)}, ..., the file {held}"
        raise CheckpointError(PLACE, problem, "Set `model` as it was in that training.")
    network.load_state_dict({name: found[name] for name in fitting}, strict=False)
    left = {
        name: f"{tuple(found[name].shape)} there, {tuple(tensor.shape)} here"
        if name in found
        else "not there"
        for name, tensor in wanted.items()
        if name not in fitting
    }
    unused = tuple(name for name in found if name not in wanted)
    return TakenWeights(path, tuple(fitting), left, unused)


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors in a file, by name."""
    content = read_checkpoint_file(path)
    if FACTS in content:
        return read_checkpoint(path).weights()
    nested = content.get("state_dict", content)
    found = nested if isinstance(nested, Mapping) else {}
    tensors = {str(name): value for name, value in found.items() if isinstance(value, Tensor)}
    if not tensors:
        raise CheckpointError(PLACE, f"{path} holds no weights.", REMEDY)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            problem = f"{path}: {name} holds weights that are NaN or infinite."
            raise CheckpointError(PLACE, problem, "Use weights of a training that did not diverge.")
    return tensors


def _without_prefix(found: dict[str, Tensor], wanted: Mapping[str, Any]) -> dict[str, Tensor]:
    """Take off the prefix, such as `network.` or `module.`, under which most names are known."""
    firsts = (name.split(".") for name in found)
    prefixes = {".".join([*parts[:n], ""]) for parts in firsts for n in range(3) if n < len(parts)}
    prefixes = {"" if prefix == "." else prefix for prefix in prefixes} | {""}

    def known(prefix: str) -> int:
        return sum(f"{prefix}{name}" in found for name in wanted)

    best = max(sorted(prefixes), key=known)
    return {name.removeprefix(best): t for name, t in found.items() if name.startswith(best)}
