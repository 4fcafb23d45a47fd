"""Which channels of the logits answer to which of the target, and how well they agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

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
        names: What each kind of foreground is called, such as "pre"; empty if nobody knows.
    """

    logits: Range
    target: Range
    activation: Literal["sigmoid", "softmax"]
    names: tuple[str, ...] = field(default=(), compare=False)

    @property
    def kinds(self) -> int:
        """How many kinds of foreground these channels tell apart."""
        return self.logits[1] - self.logits[0] - (self.activation == "softmax")

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


def kind_names(channels: Sequence[ScoredChannels]) -> list[str]:
    """Name the channels that `foreground_of` gives; two of one name are numbered."""
    names: list[str] = []
    for scored in channels:
        for name in scored.names or ("",) * scored.kinds:
            times = sum(other.partition("_")[0] == name for other in names)
            names.append(f"{name}_{times + 1}" if times or not name else name)
    return names


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
    """The Dice score of pooled `dice_counts` (2, C), averaged over channels.

    A channel of which neither holds anything says nothing and is left out; NaN if none says
    anything.

    >>> dice(torch.tensor([[3.0, 0.0], [8.0, 0.0]])).item()
    0.75
    """
    both, sizes = counts
    return (2 * both / sizes)[sizes > 0].mean()


class Sides(NamedTuple):
    """How well pre and post are told apart, from pooled `side_counts`.

    Attributes:
        accuracy: Of voxels that belong to one side, the share at which the network holds that
            side for the likelier one, averaged over both sides. 0.5 is chance, and 0 is two
            sides that are the same to it.
        shared: Dice of what is found as pre with what is found as post; NaN if nothing is.
        pre: Voxels found as pre, over those that are.
        post: The same of post.
    """

    accuracy: float
    shared: float
    pre: float
    post: float

    @classmethod
    def of(cls, counts: Tensor) -> Sides:
        """From `side_counts`; NaN where the truth lacks a side.

        >>> Sides.of(torch.tensor([[3.0, 4.0, 2.0], [1.0, 2.0, 2.0], [2.0, 0.0, 0.0]]))
        Sides(accuracy=0.625, shared=1.0, pre=0.5, post=1.0)
        """
        (pre_right, pre, pre_found), (post_right, post, post_found), (both, _, _) = counts.tolist()
        if not pre or not post:
            return cls(*[float("nan")] * 4)
        found = pre_found + post_found
        return cls(
            (pre_right / pre + post_right / post) / 2,
            2 * both / found if found else float("nan"),
            pre_found / pre,
            post_found / post,
        )


def side_counts(
    pre: tuple[Tensor, Tensor], post: tuple[Tensor, Tensor], weight: Tensor | None = None
) -> Tensor:
    """Count what `Sides` needs, at a threshold of 0.5.

    Args:
        pre: Probability and truth of the pre side, (B, Z, Y, X) each.
        post: The same of the post side.
        weight: (B, 1, Z, Y, X), 0 where a voxel does not count; or None.

    Returns:
        (3, 3) float64. Of pre: voxels of that side alone at which it is the likelier one, voxels
        of that side alone, voxels found. Of post the same. Voxels found as both, and two zeros.
    """
    counted = torch.ones_like(pre[0]) if weight is None else (weight[:, 0] > 0).float()
    rows = []
    for (p, truth), (other, other_truth) in ((pre, post), (post, pre)):
        alone = truth * (1 - other_truth) * counted
        rows.append([(alone * (p > other)).sum(), alone.sum(), ((p > 0.5) * counted).sum()])
    both = ((pre[0] > 0.5) & (post[0] > 0.5)) * counted
    rows.append([both.sum(), both.new_zeros(()), both.new_zeros(())])
    return torch.stack([torch.stack(row) for row in rows]).double()
