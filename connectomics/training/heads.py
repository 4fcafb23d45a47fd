"""Where the last layer starts: at how rare each kind of foreground is.

A network that starts at a probability of one half everywhere spends its first hundreds of steps
on learning that nearly everything is background (Lin et al. 2017, "Focal Loss for Dense Object
Detection", start theirs so too).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from connectomics.config.schema import Config
from connectomics.data.datamodule import PatchDataModule
from connectomics.data.shares import target_shares
from connectomics.models import TakenWeights
from connectomics.training.module import SynapseModule
from connectomics.training.scores import ScoredChannels

LEAST_SHARE = 1e-4
"""A share is taken to be at least this, and at most one minus it."""

SPREAD = 0.1
"""Of the logits at the start, instead of 1."""


class Head(Protocol):
    """A layer that makes logits."""

    def start_at(self, logits: Tensor, spread: float) -> None:
        """Let it give about these logits (C,) at the start, and others by a spread."""
        ...


@runtime_checkable
class HasHeads(Protocol):
    """A network whose layers that make logits are known."""

    def heads(self) -> Mapping[str, Head]:
        """These, by the name they have in `state_dict`."""
        ...


def start_heads(
    module: SynapseModule,
    config: Config,
    data: PatchDataModule,
    taken: TakenWeights | None = None,
) -> list[str]:
    """Let the heads of a network start as `model.head_bias` says.

    Args:
        module: With a network that is yet to be trained.
        config: The whole config.
        data: After its `setup`.
        taken: Weights the network has from elsewhere; a head that has all of its own keeps them.

    Returns:
        What was done, for the log.
    """
    network, bias = module.network, config.model.head_bias
    if not isinstance(network, HasHeads):
        return ["the network's channels start as its own code has them: it has no heads()"]
    anew = {name.rpartition(".")[0] for name in (taken.left if taken else network.state_dict())}
    heads = [
        head
        for name, head in network.heads().items()
        if any(f"{layer}.".startswith(f"{name}.") for layer in anew)
    ]
    if bias is None or not heads:
        return []
    outputs = config.model.out_channels
    if bias == "auto":
        shares = target_shares(data.learned, data.maker.target)
        logits = starting_logits(module.channels, shares, outputs)
        reason = "as rare as the foreground of each channel is in the training labels"
    else:
        logits, reason = [bias] * outputs, "model.head_bias"
    for head in heads:
        head.start_at(torch.tensor(logits), SPREAD)
    shown = ", ".join(f"{logit:.2f}" for logit in logits)
    return [f"the network's channels start at logits {shown}: {reason}"]


def starting_logits(
    channels: Sequence[ScoredChannels], shares: Sequence[np.ndarray], outputs: int
) -> list[float]:
    """Find the logits that say what the labels say on average.

    Args:
        channels: Which channels of the logits answer to which of the target.
        shares: For each channel of the target the share of each class, from `target_shares`.
        outputs: Channels of the logits; those of which nothing is known start at 0.

    Returns:
        For a sigmoid the log-odds of its foreground; for a softmax the log of each class's share.

    >>> yes = ScoredChannels((0, 1), (0, 1), "sigmoid")
    >>> [round(logit, 2) for logit in starting_logits([yes], [np.array([0.99, 0.01])], 2)]
    [-4.6, 0.0]
    """
    logits = [0.0] * outputs
    for scored in channels:
        (start, stop), (first, last) = scored.logits, scored.target
        if not shares[first].sum():  # no voxel counts
            continue
        if scored.activation == "softmax":
            found = np.zeros(stop - start)
            found[: len(shares[first])] = shares[first][: stop - start]
            logits[start:stop] = np.log(found.clip(LEAST_SHARE, 1)).tolist()
            continue
        for channel, share in zip(range(start, stop), shares[first:last], strict=True):
            p = np.clip(share[1:].sum(), LEAST_SHARE, 1 - LEAST_SHARE)
            logits[channel] = float(np.log(p / (1 - p)))
    return logits
