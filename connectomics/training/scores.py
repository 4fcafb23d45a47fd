"""Which channels of the logits answer to which of the target, and how well they agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Range = tuple[int, int]


@dataclass(frozen=True)
class ScoredChannels:
    """Channels of the logits that answer to channels of the target.

    Attributes:
        logits: First channel of the logits and one past the last.
        target: The same in the target.
        activation: "sigmoid": each channel is one question, the target 0 or 1. "softmax": the
            channels exclude each other and the one target channel holds the class, 0 being
            background.
    """

    logits: Range
    target: Range
    activation: Literal["sigmoid", "softmax"]

    def foreground(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Activate the logits and spread the target out, one channel per kind of foreground.

        Args:
            logits: All channels, (B, C, Z, Y, X).
            target: All channels, (B, C', Z, Y, X).

        Returns:
            Probabilities (B, c, Z, Y, X) and truth (B, c, Z, Y, X) as 0 or 1, where c is the
            number of channels for "sigmoid" and of classes but background for "softmax".
        """
        scores = logits[:, slice(*self.logits)].float()
        truth = target[:, slice(*self.target)]
        if self.activation == "sigmoid":
            return torch.sigmoid(scores), (truth > 0.5).float()
        classes = torch.arange(1, scores.shape[1], device=scores.device).view(1, -1, 1, 1, 1)
        return torch.softmax(scores, dim=1)[:, 1:], (truth == classes).float()


def foreground_of(
    channels: Sequence[ScoredChannels], logits: Tensor, target: Tensor
) -> tuple[Tensor, Tensor]:
    """Put the foreground of all scored channels side by side; see `ScoredChannels.foreground`."""
    pairs = [scored.foreground(logits, target) for scored in channels]
    return torch.cat([p for p, _ in pairs], dim=1), torch.cat([t for _, t in pairs], dim=1)


def dice_counts(probability: Tensor, truth: Tensor, weight: Tensor | None = None) -> Tensor:
    """Count what a Dice score needs, at a threshold of 0.5.

    Args:
        probability: (B, C, Z, Y, X).
        truth: (B, C, Z, Y, X), 0 or 1.
        weight: (B, 1, Z, Y, X), 0 where a voxel does not count; or None.

    Returns:
        (2, C) float64: voxels in both, and voxels of the one plus voxels of the other.
    """
    found = (probability > 0.5).float()
    if weight is not None:
        counted = (weight > 0).float()
        found, truth = found * counted, truth * counted
    axes = (0, 2, 3, 4)
    both = (found * truth).sum(axes, dtype=torch.float64)
    return torch.stack([both, (found + truth).sum(axes, dtype=torch.float64)])


def dice(counts: Tensor) -> Tensor:
    """The Dice score of pooled `dice_counts`, averaged over channels.

    A channel of which neither holds anything says nothing and is left out; NaN if none says
    anything.

    >>> dice(torch.tensor([[3.0, 0.0], [8.0, 0.0]])).item()
    0.75
    """
    both, sizes = counts
    return (2 * both / sizes)[sizes > 0].mean()
