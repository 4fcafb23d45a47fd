"""Checkpoints: what they say about themselves, and the weights in them.

Beside what Lightning needs to go on, a checkpoint holds under the key `connectomics`, as plain
values, the `CheckpointFacts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StrictInt, StrictStr, create_model
from pydantic import ValidationError as Invalid
from torch import Tensor

import connectomics
from connectomics.checkpoints import find_checkpoint
from connectomics.config.networks import model_section_with
from connectomics.config.schema import (
    ChannelActivationSection,
    ImageTransformSection,
    InferenceSection,
    ModelSection,
    NamedSection,
)
from connectomics.config.schema.base import Resolution
from connectomics.errors import CheckpointError, Fault
from connectomics.models.checkpoint_file import USE_OURS, read_checkpoint_file
from connectomics.models.networks import sections

FACTS = "connectomics"
AVERAGE = "AverageWeights"
"""The key under `callbacks` of the moving average of the weights."""


class GreyValues(BaseModel):
    """Grey values pooled over the training volumes; see `ImageStatistics`."""

    low: FiniteFloat
    high: FiniteFloat
    mean: FiniteFloat
    std: FiniteFloat


class CheckpointFacts(BaseModel):
    """What a checkpoint says about itself.

    Attributes:
        version: Of this package.
        model: The `model` section.
        image_transform: The `data.image_transform` section.
        statistics: Grey values of the training volumes, or None where every volume has its own.
        targets: The targets.
        channels: The names of the channels; empty if nobody named them.
        channel_activations: How logits become probabilities.
        resolution: nm per voxel (z, y, x) of the training volumes, or None.
        small_synapse_nm3: The size of a small synapse among those that it learned from: 5 % of them
            have less. None where that is not known.
        step: How far training was.
        metrics: How good.
        random_state: Of PyTorch's generators, in the first process that trained.
        other_random_states: In the other processes.
        inference: The `inference` section: how the network is to slide. None where an earlier
            version wrote the checkpoint.
        precision: In which it was trained; None likewise.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    version: StrictStr
    model: ModelSection
    image_transform: ImageTransformSection
    statistics: GreyValues | None
    targets: tuple[NamedSection, ...]
    channels: tuple[StrictStr, ...] = ()
    channel_activations: tuple[ChannelActivationSection, ...]
    resolution: Resolution | None
    small_synapse_nm3: Annotated[float, Field(gt=0)] | None = None
    step: Annotated[StrictInt, Field(ge=0)]
    metrics: dict[str, float]
    random_state: dict[str, Any]
    other_random_states: tuple[dict[str, Any], ...] = ()
    inference: InferenceSection | None = None
    precision: StrictStr | None = None


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that has been read.

    Attributes:
        path: Where it lies.
        facts: What it says about itself.
        content: All of it: Lightning's keys and `connectomics`.
    """

    path: Path
    facts: CheckpointFacts
    content: dict[str, Any]

    def weights(self, *, use_ema: bool = True) -> dict[str, Tensor]:
        """The weights under the names of the network's own `state_dict`.

        Args:
            use_ema: Take their moving average, where there is one.

        Raises:
            CheckpointError: They are no tensors, or not all of them are numbers.
        """
        place, found = "state_dict", self.content["state_dict"]
        average = _average(self.content)
        if use_ema and average is not None:
            place, found = f"callbacks.{AVERAGE}.network", average
        self._require_numbers(place, found)
        prefix = "network."
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in found.items()
            if found is average or name.startswith(prefix)
        }

    def _require_numbers(self, place: str, found: Any) -> None:
        where, remedy = str(self.path), "Use an earlier or another checkpoint."
        if not isinstance(found, Mapping):
            raise CheckpointError(where, f"{place} holds no weights.", remedy)
        for name, tensor in found.items():
            if not isinstance(name, str) or not isinstance(tensor, Tensor):
                raise CheckpointError(where, f"{place}.{name} is no tensor.", remedy)
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                wrong = int((~torch.isfinite(tensor)).sum())
                problem = f"{wrong} of the {tensor.numel()} weights in {name} are NaN or infinite."
                raise CheckpointError(where, problem, f"Its training has diverged. {remedy}")


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint that this package wrote.

    Nothing in the file is executed: only tensors and plain values are accepted.

    Args:
        path: The `.ckpt` file, or the folder of a run, whose last one is read.

    Raises:
        CheckpointError: There is no such file, it is no checkpoint, it is damaged, it holds
            code, it comes from another program, or an entry is missing or wrong.
    """
    path = find_checkpoint(Path(path))
    content = read_checkpoint_file(path)
    facts = content.get(FACTS)
    if FACTS not in content:
        raise CheckpointError(str(path), f"is {_kind(content)}.", USE_OURS)
    if not isinstance(facts, dict) or not isinstance(content.get("state_dict"), dict):
        entry = "state_dict" if isinstance(facts, dict) else FACTS
        problem = f"its entry {entry} is {_type(content.get(entry))}, not a dictionary."
        raise CheckpointError(str(path), problem, USE_OURS)
    try:
        return Checkpoint(path, _facts_of(facts), content)
    except Invalid as error:
        raise CheckpointError.of(_faults(path, facts, error)) from None


def _facts_of(entry: Mapping[str, Any]) -> CheckpointFacts:
    """What a checkpoint says, of whichever network."""
    model = (model_section_with(sections()), ...)
    schema = create_model("CheckpointFacts", __base__=CheckpointFacts, model=model)
    return CheckpointFacts.model_construct(**dict(schema.model_validate(entry)))


def _average(content: Mapping[str, Any]) -> Any:
    """The moving average of the weights, or None."""
    found: Any = content
    for key in ("callbacks", AVERAGE, "network"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _kind(content: Mapping[str, Any]) -> str:
    """What a file of PyTorch's is that this package did not write."""
    names = [str(name) for name in content]
    if "pytorch-lightning_version" in content:
        return "a checkpoint of another program that uses Lightning"
    if content and all(isinstance(value, Tensor) for value in content.values()):
        return f"a bare state dict of {len(names)} tensors ({names[0]}, ...), without architecture"
    listed = ", ".join(names[:4]) or "nothing"
    return f"a file of PyTorch's that holds {listed}, but not a checkpoint of this package"


def _faults(path: Path, facts: Mapping[str, Any], error: Invalid, most: int = 3) -> list[Fault]:
    version = facts.get("version")
    other = isinstance(version, str) and version != connectomics.__version__
    wrote = f" Version {version} wrote it, this is {connectomics.__version__}." if other else ""
    faults = []
    for detail in error.errors(include_url=False)[:most]:
        entry = ".".join(str(key) for key in (FACTS, *detail["loc"]))
        missing = detail["type"] == "missing"
        message = detail["msg"][0].lower() + detail["msg"][1:]
        problem = "is missing" if missing else f"is wrong: {message}"
        faults.append(Fault(str(path), f"its entry {entry} {problem}.{wrote}", USE_OURS))
    return faults


def _type(value: Any) -> str:
    return "missing" if value is None else f"a {type(value).__name__}"
