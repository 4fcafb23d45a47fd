"""A loss of MONAI under the roof of this package."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from connectomics.errors import ConfigError, did_you_mean
from connectomics.losses.monai import monai_classes

_REFUSALS = (AssertionError, IndexError, RuntimeError, TypeError, ValueError)


class MonaiLoss(nn.Module):
    """A loss of MONAI under the roof of this package.

    It gets the logits as they are, so one that works on probabilities needs `sigmoid: true` or
    `softmax: true`. None of them takes a weight.

    Args:
        name: The class in `monai.losses`.
        settings: Its keyword arguments.

    Raises:
        ConfigError: No such loss, or it refuses its settings.
    """

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        super().__init__()
        classes = monai_classes()
        if name not in classes:
            raise ConfigError(name, "MONAI has no such loss.", did_you_mean(name, classes))
        self.name = name
        _check_activation(name, classes[name], settings)
        try:
            self.loss = classes[name](**settings)
        except _REFUSALS as error:
            raise ConfigError(name, f"MONAI refuses the settings: {error}.") from error

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Compare logits (B, C, Z, Y, X) with a target as the loss at hand expects it."""
        if weight is not None:
            raise ConfigError(
                self.name,
                "MONAI's losses take no weight, and the data have a mask.",
                "Use WeightedBCEWithLogitsLoss, WeightedCE or DiceLoss, or leave the mask out.",
            )
        try:
            loss = self.loss(logits.float(), target.float())
        except _REFUSALS as error:
            raise ConfigError(
                self.name,
                f"refuses logits {tuple(logits.shape)} and target {tuple(target.shape)}: {error}.",
            ) from error
        if loss.ndim:
            raise ConfigError(
                self.name,
                f"gives {tuple(loss.shape)} numbers instead of one.",
                "Set reduction: mean.",
            )
        return loss


def _check_activation(name: str, loss: type[nn.Module], settings: Mapping[str, Any]) -> None:
    if "sigmoid" not in inspect.signature(loss).parameters:
        return
    if not (settings.get("sigmoid") or settings.get("softmax")):
        raise ConfigError(
            name,
            "works on probabilities, and the network gives logits.",
            "Add sigmoid: true for channels that may overlap, softmax: true for classes.",
        )
