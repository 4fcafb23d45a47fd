"""Cross-entropy: each voxel asked whether it is foreground, or which class it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from connectomics.losses.loss import Loss
from connectomics.losses.shapes import (
    TINY,
    class_ids_of,
    counted,
    require_one_per_channel,
    require_same_shape,
    require_weights,
    spread,
)

if TYPE_CHECKING:
    from torch import Tensor

MAX_POS_WEIGHT = 100.0
"""Bounds of an automatic `pos_weight`: between 1 / 100 and 100."""


@dataclass(frozen=True)
class WeightedBCEWithLogitsLoss:
    """Binary cross-entropy, each channel a yes-no question of its own.

    Attributes:
        pos_weight: How many times as much a foreground voxel weighs: one number, one per
            channel, or "auto": background over foreground (weighted) voxels of the batch,
            per channel, so that both classes weigh the same; at most `MAX_POS_WEIGHT`, which
            is also what a batch without foreground gets, and at least its inverse.
        reduction: "mean" divides by the sum of the weights (the number of voxels, where none
            are given); "sum" does not.

    >>> import torch
    >>> loss = WeightedBCEWithLogitsLoss(pos_weight=3.0)
    >>> logits = torch.zeros(1, 1, 1, 1, 2)
    >>> target = torch.tensor([0.0, 1.0]).reshape(1, 1, 1, 1, 2)
    >>> round(float(loss(logits, target)), 4)  # (log 2 + 3 log 2) / 2
    1.3863
    """

    pos_weight: float | list[float] | Literal["auto"] | None = None
    reduction: Literal["mean", "sum"] = "mean"

    def __post_init__(self) -> None:
        if not isinstance(self.pos_weight, str):
            require_weights("WeightedBCEWithLogitsLoss.pos_weight", self.pos_weight, zero=False)

    def __call__(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Compare logits (B, C, Z, Y, X) with a target in [0, 1] of the same shape."""
        import torch.nn.functional as F

        logits, target = logits.float(), target.float()
        require_same_shape("WeightedBCEWithLogitsLoss", logits, target)
        weight = spread(weight, logits)
        loss = F.binary_cross_entropy_with_logits(
            logits, target, weight, reduction="sum", pos_weight=self._pos_weight(target, weight)
        )
        return loss if self.reduction == "sum" else loss / counted(weight)

    def _pos_weight(self, target: Tensor, weight: Tensor) -> Tensor | None:
        """One weight per channel, (C, 1, 1, 1)."""
        if self.pos_weight is None:
            return None
        if self.pos_weight == "auto":
            axes = (0, 2, 3, 4)
            foreground = (weight * target).sum(axes)
            background = (weight * (1 - target)).sum(axes)
            ratio = background / foreground.clamp(min=TINY)
            return ratio.clamp(1 / MAX_POS_WEIGHT, MAX_POS_WEIGHT).reshape(-1, 1, 1, 1)
        per_channel = target.new_tensor(self.pos_weight).reshape(-1, 1, 1, 1)
        require_one_per_channel(
            "WeightedBCEWithLogitsLoss.pos_weight", len(per_channel), target, one=True
        )
        return per_channel


WEIGHTED_BCE = Loss(WeightedBCEWithLogitsLoss)


@dataclass(frozen=True)
class WeightedCE:
    """Cross-entropy between classes that exclude each other (softmax).

    Attributes:
        class_weights: One weight per class, background first. The mean is over the weights,
            as in `torch.nn.functional.cross_entropy`.

    >>> import torch
    >>> loss = WeightedCE(class_weights=[1.0, 10.0, 10.0])
    >>> classes = torch.tensor([0.0, 2.0]).reshape(1, 1, 1, 1, 2)
    >>> round(float(loss(torch.zeros(1, 3, 1, 1, 2), classes)), 4)  # log 3
    1.0986
    """

    class_weights: list[float] | None = None

    def __post_init__(self) -> None:
        require_weights("WeightedCE.class_weights", self.class_weights)

    def __call__(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Compare logits (B, C, Z, Y, X) with class ids (B, 1, Z, Y, X) or (B, Z, Y, X)."""
        import torch
        import torch.nn.functional as F

        logits = logits.float()
        classes = class_ids_of("WeightedCE", logits, target)  # (B, Z, Y, X)
        class_weights = None
        if self.class_weights is not None:
            class_weights = logits.new_tensor(self.class_weights)
            require_one_per_channel("WeightedCE.class_weights", len(class_weights), logits)
        loss = F.cross_entropy(logits, classes, class_weights, reduction="none")
        counted = torch.ones_like(loss) if class_weights is None else class_weights[classes]
        if weight is not None:
            counted = counted * weight.float()[:, 0]
            loss = loss * weight.float()[:, 0]
        return loss.sum() / counted.sum().clamp(min=TINY)


WEIGHTED_CE = Loss(WeightedCE, exclusive=True)
