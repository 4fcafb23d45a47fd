"""The overlap of prediction and target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectomics.errors import ConfigError
from connectomics.losses.loss import Loss
from connectomics.losses.shapes import class_ids_of, require_same_shape, require_weights, spread

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class DiceLoss:
    """One minus the overlap of prediction and target (Milletari et al. 2016, "V-Net").

    For each sample and channel `1 - (2 sum(pt) + smooth_nr) / (sum(p) + sum(t) + smooth_dr)`,
    then the mean of these. It does not care how rare the foreground is.

    Attributes:
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

    >>> import torch
    >>> target = torch.tensor([0.0, 1.0]).reshape(1, 1, 1, 1, 2)
    >>> round(float(DiceLoss()(torch.zeros(1, 1, 1, 1, 2), target)), 4)  # 1 - 2 * 0.5 / (1 + 1)
    0.5
    """

    sigmoid: bool | None = None
    softmax: bool = False
    include_background: bool = True
    squared_pred: bool = False
    batch: bool = False
    smooth_nr: float = 1e-5
    smooth_dr: float = 1e-5

    def __post_init__(self) -> None:
        if self.sigmoid is self.softmax:
            raise ConfigError(
                "DiceLoss",
                f"sigmoid and softmax are both {self.softmax}; the network gives logits, which "
                "need one of them.",
                "Set sigmoid: true for channels that may overlap, softmax: true for classes.",
            )
        if not self.smooth_dr > 0:
            problem = f"smooth_dr is {self.smooth_dr}."
            raise ConfigError("DiceLoss", problem, "Make it greater than 0.")
        require_weights("DiceLoss.smooth_nr", self.smooth_nr)
        require_weights("DiceLoss.smooth_dr", self.smooth_dr)

    def __call__(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Compare logits (B, C, Z, Y, X) with a target of that shape, or with class ids."""
        import torch.nn.functional as F

        first = 0 if self.include_background or not self.softmax else 1
        power = 2 if self.squared_pred else 1
        axes = (0, 2, 3, 4) if self.batch else (2, 3, 4)
        logits, target = logits.float(), target.float()
        if self.softmax:
            classes = class_ids_of("DiceLoss", logits, target)
            target = F.one_hot(classes, logits.shape[1]).movedim(-1, 1).float()  # (B, C, Z, Y, X)
            probability = logits.softmax(dim=1)
        else:
            require_same_shape("DiceLoss", logits, target)
            probability = logits.sigmoid()
        weight = spread(weight, probability)
        p, t, w = (array[:, first:] for array in (probability, target, weight))
        overlap = (w * p * t).sum(axes)
        total = (w * (p**power + t**power)).sum(axes)
        dice = (2 * overlap + self.smooth_nr) / (total + self.smooth_dr)
        return 1 - dice.mean()


DICE = Loss(DiceLoss, exclusive_by="softmax")
