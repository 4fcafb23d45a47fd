"""Which of the two sides a synaptic voxel is on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectomics.errors import ConfigError
from connectomics.losses.loss import Loss
from connectomics.losses.shapes import counted, require_same_shape, spread

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SideLoss:
    """Cross-entropy between pre and post, at voxels labelled as one of them.

    It compares the two logits with each other and nothing else, so that a network that finds
    both sides and cannot tell them apart is told so by every labelled voxel alike. Beside a
    loss that asks each channel by itself it parts them sooner (docs/learning.md).

    Attributes:
        pre: The channel of the pre-synaptic side.
        post: The channel of the post-synaptic side.

    Raises:
        ConfigError: Both are the same channel, or there is no such channel.

    >>> import torch
    >>> logits = torch.tensor([[0.0, 2.0, 5.0], [0.0, 2.0, 0.0]])  # pre, post; three voxels
    >>> target = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])  # pre, post, neither
    >>> shape = 1, 2, 1, 1, 3
    >>> round(float(SideLoss()(logits.reshape(shape), target.reshape(shape))), 4)  # log 2
    0.6931
    """

    pre: int = 0
    post: int = 1

    def __post_init__(self) -> None:
        if self.pre == self.post:
            problem = f"pre and post are both channel {self.pre}."
            raise ConfigError("SideLoss", problem, "Name two channels.")
        if min(self.pre, self.post) < 0:
            problem = f"channels are counted from 0, not {min(self.pre, self.post)}."
            raise ConfigError("SideLoss", problem)

    def __call__(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Compare logits (B, C, Z, Y, X) with a target of the same shape."""
        import torch.nn.functional as F

        logits, target = logits.float(), target.float()
        require_same_shape("SideLoss", logits, target)
        channels, last = logits.shape[1], max(self.pre, self.post)
        if last >= channels:
            problem = f"there is no channel {last} among {channels}."
            remedy = "Take it where the network has a channel for pre and one for post."
            raise ConfigError("SideLoss", problem, remedy)
        pre, post = target[:, self.pre], target[:, self.post]
        one_sided = (pre - post).abs() * spread(weight, logits)[:, 0]
        loss = F.binary_cross_entropy_with_logits(
            logits[:, self.pre] - logits[:, self.post], pre, one_sided, reduction="sum"
        )
        return loss / counted(one_sided)


SIDE = Loss(SideLoss)
