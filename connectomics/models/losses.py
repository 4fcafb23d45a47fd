"""What the network is told about its mistakes.

Every loss takes logits `(B, C, Z, Y, X)`, a target of the same size and, if some voxels count
less than others or not at all, a `weight (B, 1, Z, Y, X)` or `(B, C, Z, Y, X)`. It gives one
number, computed in float32 whatever the precision of the network, and 0 where nothing counts.
`takes_class_ids` says what the target holds: one channel of class ids, or as many channels as
the logits, each 0 to 1.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from connectomics.errors import ConfigError, DataError

MAX_POS_WEIGHT = 100.0
"""Bounds of an automatic `pos_weight`: between 1 / 100 and 100."""

_TINY = 1e-12

LARGEST_WEIGHT = 1e6


class WeightedBCEWithLogitsLoss(nn.Module):
    """Binary cross-entropy, each channel a yes-no question of its own.

    Args:
        pos_weight: How many times as much a foreground voxel weighs: one number, one per
            channel, or "auto": background over foreground (weighted) voxels of the batch,
            per channel, so that both classes weigh the same; at most `MAX_POS_WEIGHT`, which
            is also what a batch without foreground gets, and at least its inverse.
        reduction: "mean" divides by the sum of the weights (the number of voxels, where none
            are given); "sum" does not.

    >>> loss = WeightedBCEWithLogitsLoss(pos_weight=3.0)
    >>> logits = torch.zeros(1, 1, 1, 1, 2)
    >>> target = torch.tensor([0.0, 1.0]).reshape(1, 1, 1, 1, 2)
    >>> round(float(loss(logits, target)), 4)  # (log 2 + 3 log 2) / 2
    1.3863
    """

    takes_class_ids = False

    def __init__(
        self,
        pos_weight: float | list[float] | Literal["auto"] | None = None,
        reduction: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__()
        if not isinstance(pos_weight, str):
            _require_weights("WeightedBCEWithLogitsLoss.pos_weight", pos_weight, zero=False)
        self.pos_weight = pos_weight
        self.reduction = reduction

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Compare logits (B, C, Z, Y, X) with a target in [0, 1] of the same shape."""
        logits, target = logits.float(), target.float()
        _same_shape("WeightedBCEWithLogitsLoss", logits, target)
        weight = _spread(weight, logits)
        loss = F.binary_cross_entropy_with_logits(
            logits, target, weight, reduction="sum", pos_weight=self._pos_weight(target, weight)
        )
        return loss if self.reduction == "sum" else loss / _counted(weight)

    def _pos_weight(self, target: Tensor, weight: Tensor) -> Tensor | None:
        """One weight per channel, (C, 1, 1, 1)."""
        if self.pos_weight is None:
            return None
        if self.pos_weight == "auto":
            axes = (0, 2, 3, 4)
            foreground = (weight * target).sum(axes)
            background = (weight * (1 - target)).sum(axes)
            ratio = background / foreground.clamp(min=_TINY)
            return ratio.clamp(1 / MAX_POS_WEIGHT, MAX_POS_WEIGHT).reshape(-1, 1, 1, 1)
        per_channel = target.new_tensor(self.pos_weight).reshape(-1, 1, 1, 1)
        _one_per_channel("WeightedBCEWithLogitsLoss.pos_weight", len(per_channel), target, one=True)
        return per_channel


class WeightedCE(nn.Module):
    """Cross-entropy between classes that exclude each other (softmax).

    Args:
        class_weights: One weight per class, background first. The mean is over the weights,
            as in `torch.nn.functional.cross_entropy`.

    >>> loss = WeightedCE(class_weights=[1.0, 10.0, 10.0])
    >>> classes = torch.tensor([0.0, 2.0]).reshape(1, 1, 1, 1, 2)
    >>> round(float(loss(torch.zeros(1, 3, 1, 1, 2), classes)), 4)  # log 3
    1.0986
    """

    takes_class_ids = True

    def __init__(self, class_weights: list[float] | None = None) -> None:
        super().__init__()
        _require_weights("WeightedCE.class_weights", class_weights)
        self.class_weights = class_weights

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Compare logits (B, C, Z, Y, X) with class ids (B, 1, Z, Y, X) or (B, Z, Y, X)."""
        logits = logits.float()
        classes = _class_ids("WeightedCE", logits, target)  # (B, Z, Y, X)
        class_weights = None
        if self.class_weights is not None:
            class_weights = logits.new_tensor(self.class_weights)
            _one_per_channel("WeightedCE.class_weights", len(class_weights), logits)
        loss = F.cross_entropy(logits, classes, class_weights, reduction="none")
        counted = torch.ones_like(loss) if class_weights is None else class_weights[classes]
        if weight is not None:
            counted = counted * weight.float()[:, 0]
            loss = loss * weight.float()[:, 0]
        return loss.sum() / counted.sum().clamp(min=_TINY)


class DiceLoss(nn.Module):
    """One minus the overlap of prediction and target (Milletari et al. 2016, "V-Net").

    For each sample and channel `1 - (2 sum(pt) + smooth_nr) / (sum(p) + sum(t) + smooth_dr)`,
    then the mean of these. It does not care how rare the foreground is.

    Args:
        sigmoid: Each channel is a yes-no question of its own. The default, unless `softmax`.
        softmax: The channels are classes that exclude each other; the target holds class ids.
        include_background: With `softmax`, whether class 0 takes part.
        squared_pred: Square p and t in the denominator.
        batch: Sum over the batch before dividing: steadier where foreground is rare.
        smooth_nr: Added to the numerator. Equal to `smooth_dr`, it makes an empty prediction
            of an empty target perfect.
        smooth_dr: Added to the denominator, greater than 0.

    Raises:
        ConfigError: Both activations, none, or a `smooth_dr` that allows 0 / 0.

    >>> target = torch.tensor([0.0, 1.0]).reshape(1, 1, 1, 1, 2)
    >>> round(float(DiceLoss()(torch.zeros(1, 1, 1, 1, 2), target)), 4)  # 1 - 2 * 0.5 / (1 + 1)
    0.5
    """

    def __init__(
        self,
        *,
        sigmoid: bool | None = None,
        softmax: bool = False,
        include_background: bool = True,
        squared_pred: bool = False,
        batch: bool = False,
        smooth_nr: float = 1e-5,
        smooth_dr: float = 1e-5,
    ) -> None:
        super().__init__()
        if sigmoid is softmax:
            raise ConfigError(
                "DiceLoss",
                f"sigmoid and softmax are both {softmax}; the network gives logits, which need "
                "one of them.",
                "Set sigmoid: true for channels that may overlap, softmax: true for classes.",
            )
        if not smooth_dr > 0:
            raise ConfigError("DiceLoss", f"smooth_dr is {smooth_dr}.", "Make it greater than 0.")
        self.takes_class_ids = softmax
        self.first = 0 if include_background or not softmax else 1
        self.power = 2 if squared_pred else 1
        self.axes = (0, 2, 3, 4) if batch else (2, 3, 4)
        _require_weights("DiceLoss.smooth_nr", smooth_nr)
        _require_weights("DiceLoss.smooth_dr", smooth_dr)
        self.smooth_nr, self.smooth_dr = smooth_nr, smooth_dr

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Compare logits (B, C, Z, Y, X) with a target of that shape, or with class ids."""
        logits, target = logits.float(), target.float()
        if self.takes_class_ids:
            classes = _class_ids("DiceLoss", logits, target)
            target = F.one_hot(classes, logits.shape[1]).movedim(-1, 1).float()  # (B, C, Z, Y, X)
            probability = logits.softmax(dim=1)
        else:
            _same_shape("DiceLoss", logits, target)
            probability = logits.sigmoid()
        weight = _spread(weight, probability)
        p, t, w = (array[:, self.first :] for array in (probability, target, weight))
        overlap = (w * p * t).sum(self.axes)
        total = (w * (p**self.power + t**self.power)).sum(self.axes)
        dice = (2 * overlap + self.smooth_nr) / (total + self.smooth_dr)
        return 1 - dice.mean()


def _spread(weight: Tensor | None, logits: Tensor) -> Tensor:
    """The weight of every voxel of every channel, (B, C, Z, Y, X)."""
    if weight is None:
        return torch.ones_like(logits)
    return weight.float().expand_as(logits)


def _counted(weight: Tensor) -> Tensor:
    return weight.sum().clamp(min=_TINY)


def _require_weights(where: str, value: float | list[float] | None, *, zero: bool = True) -> None:
    """Refuse weights that would reward mistakes, or drown all else."""
    weights = value if isinstance(value, list) else [] if value is None else [value]
    if all(0 <= w <= LARGEST_WEIGHT and (zero or w) for w in weights):
        return
    bounds = f"0 to {LARGEST_WEIGHT:,.0f}" + (", and not 0" if not zero else "")
    raise ConfigError(where, f"has to be {bounds}, not {value}.")


def _same_shape(who: str, logits: Tensor, target: Tensor) -> None:
    if logits.shape != target.shape:
        raise DataError(
            who,
            f"logits have shape {tuple(logits.shape)}, the target has {tuple(target.shape)} "
            "(batch, channels, z, y, x).",
            "Let pred_slice and target_slice pick as many channels from either.",
        )


def _class_ids(who: str, logits: Tensor, target: Tensor) -> Tensor:
    """Class ids as int64 (B, Z, Y, X)."""
    expected = (logits.shape[0], *logits.shape[2:])
    classes = target[:, 0] if target.ndim == 5 and target.shape[1] == 1 else target
    if tuple(classes.shape) != expected:
        raise DataError(
            who,
            f"logits have shape {tuple(logits.shape)}, the target has {tuple(target.shape)}; "
            "classes that exclude each other need one channel of class ids.",
            "Use an exclusive target, or let target_slice pick its channel.",
        )
    return classes.long()


def _one_per_channel(where: str, count: int, logits: Tensor, *, one: bool = False) -> None:
    channels = logits.shape[1]
    if count != channels and not (one and count == 1):
        raise ConfigError(
            where, f"{count} numbers for {channels} channels.", f"Give {channels}, one for each."
        )
