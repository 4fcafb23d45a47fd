"""From logits to probabilities."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from connectomics.config.channels import channel_range
from connectomics.config.schema import ChannelActivationSection

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "softmax": lambda logits: torch.softmax(logits, dim=1),
    "none": lambda logits: logits,
}


def build_activation(
    activations: Sequence[ChannelActivationSection],
) -> Callable[[Tensor], Tensor]:
    """Build the function from logits (B, C, z, y, x) to probabilities of the same shape."""

    def activate(logits: Tensor) -> Tensor:
        result = torch.empty_like(logits)
        for spec in activations:
            start, stop = channel_range(spec.channels, logits.shape[1])
            result[:, start:stop] = ACTIVATIONS[spec.activation](logits[:, start:stop])
        return result

    return activate
