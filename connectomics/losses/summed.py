"""The loss of a run: a weighted sum of terms, each on some of the channels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from connectomics.config.channels import ChannelRange, channel_range
from connectomics.errors import DataError


@dataclass(frozen=True)
class LossTerm:
    """One term of the sum.

    Attributes:
        function: A function or module called with logits, target and weight.
        weight: What the term is multiplied by.
        pred_slice: The channels of the logits it sees: `"0:3"`, `2`, `(0, 3)`, None for all.
        target_slice: The channels of the target it sees.
        name: What it is called in the log. Empty: the name of the function's class.
        takes_weight: Whether it can leave voxels out.
    """

    function: Callable[..., Tensor]
    weight: float = 1.0
    pred_slice: ChannelRange = None
    target_slice: ChannelRange = None
    name: str = ""
    takes_weight: bool = True


class SummedLoss(nn.Module):
    """A weighted sum of losses on slices of the channels.

    With deep supervision the logits are a list, finest first, all at full size. Each level
    weighs half as much as the one before, and the weights of the levels sum to one.

    Args:
        terms: The terms. Where two have the same name their position tells them apart:
            `DiceLoss_0` and `DiceLoss_2`.

    >>> from connectomics.losses.cross_entropy import WeightedBCEWithLogitsLoss
    >>> from connectomics.losses.dice import DiceLoss
    >>> loss = SummedLoss([LossTerm(WeightedBCEWithLogitsLoss()), LossTerm(DiceLoss(), 0.5)])
    >>> total, terms = loss(torch.zeros(1, 2, 1, 1, 4), torch.ones(1, 2, 1, 1, 4))
    >>> round(float(total), 3), sorted(terms)  # log 2 + (1 - 2 * 2 / 6) / 2
    (0.86, ['DiceLoss', 'WeightedBCEWithLogitsLoss'])
    """

    def __init__(self, terms: Sequence[LossTerm]) -> None:
        super().__init__()
        self.terms = tuple(terms)
        modules = (term.function for term in terms if isinstance(term.function, nn.Module))
        self.functions = nn.ModuleList(modules)  # for .to(device)
        self.names = _names(terms)

    @property
    def takes_weight(self) -> bool:
        """Whether every term accepts a weight or mask."""
        return all(term.takes_weight for term in self.terms)

    def forward(
        self, logits: Tensor | Sequence[Tensor], target: Tensor, weight: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compare a prediction with its target.

        Args:
            logits: (B, C, Z, Y, X), or a list of these with deep supervision.
            target: (B, C', Z, Y, X).
            weight: (B, 1, Z, Y, X), 0 where nothing counts. None: everything counts.

        Returns:
            The total, and the value of each term by name: of the finest level, before its
            weight, without gradient.
        """
        levels = [logits] if isinstance(logits, Tensor) else list(logits)
        shares = torch.tensor([0.5**k for k in range(len(levels))])
        shares = (shares / shares.sum()).tolist()
        with torch.autocast(target.device.type, enabled=False):
            values = [self._values(level, target, weight) for level in levels]
        total = target.new_zeros((), dtype=torch.float32)
        for share, of_level in zip(shares, values, strict=True):
            for term, value in zip(self.terms, of_level, strict=True):
                total = total + share * term.weight * value
        finest = (value.detach() for value in values[0])
        return total, dict(zip(self.names, finest, strict=True))

    def _values(self, logits: Tensor, target: Tensor, weight: Tensor | None) -> list[Tensor]:
        if logits.shape[2:] != target.shape[2:]:
            raise DataError(
                "SummedLoss",
                f"logits have size {tuple(logits.shape[2:])}, the target has "
                f"{tuple(target.shape[2:])} (z, y, x).",
            )
        values = []
        for term in self.terms:
            start, stop = channel_range(term.pred_slice, logits.shape[1], "pred_slice")
            first, last = channel_range(term.target_slice, target.shape[1], "target_slice")
            values.append(term.function(logits[:, start:stop], target[:, first:last], weight))
        return values


def _names(terms: Sequence[LossTerm]) -> list[str]:
    names = [term.name or type(term.function).__name__ for term in terms]
    times = Counter(names)
    return [f"{name}_{i}" if times[name] > 1 else name for i, name in enumerate(names)]
