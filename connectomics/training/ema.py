"""An exponential moving average of the weights, which usually predicts better than the last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from connectomics.models.checkpoint import AVERAGE


def ema_decay(step: int, *, decay: float, warmup_steps: int) -> float:
    """The share of the old average that is kept at one step.

    During the warm-up nothing is kept: the average is the weights, which still move too far
    to be worth averaging. Afterwards the memory grows with the number of steps since, so the
    average never drags early weights along, until it reaches `decay`:
    `min(decay, (1 + s) / (10 + s))` (the rule of TensorFlow's ExponentialMovingAverage).

    Args:
        step: Optimizer steps done, this one included, from 1.
        decay: The final share, 0 to 1.
        warmup_steps: Steps during which the average is the weights themselves.

    >>> [round(ema_decay(s, decay=0.9, warmup_steps=2), 3) for s in (1, 2, 3, 4, 500)]
    [0.0, 0.0, 0.182, 0.25, 0.9]
    """
    since = step - warmup_steps
    return min(decay, (1 + since) / (10 + since)) if since > 0 else 0.0


class MovingAverage:
    """The averaged weights of a network.

    Floating-point buffers, such as the statistics of batch normalisation, are averaged like
    weights, for they belong to them; whole-number buffers are copied.

    Args:
        network: Its parameters and buffers are watched; they are averaged where they lie.
        decay: See `ema_decay`.
        warmup_steps: See `ema_decay`.

    >>> network = nn.Linear(1, 1, bias=False)
    >>> _ = nn.init.constant_(network.weight, 1.0)
    >>> average = MovingAverage(network, decay=0.5, warmup_steps=0)
    >>> _ = nn.init.constant_(network.weight, 2.0)
    >>> average.update(step=100)
    >>> average.state_dict()["weight"].item()
    1.5
    """

    def __init__(self, network: nn.Module, *, decay: float, warmup_steps: int) -> None:
        self.decay = decay
        self.warmup_steps = warmup_steps
        self._names = list(network.state_dict())
        self._current = list(network.state_dict().values())
        self._average = [tensor.detach().clone() for tensor in self._current]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights as they are after optimizer step `step`, counted from 1."""
        keep = ema_decay(step, decay=self.decay, warmup_steps=self.warmup_steps)
        pairs = list(zip(self._average, self._current, strict=True))
        floats = [pair for pair in pairs if pair[0].is_floating_point()]
        get_ema_multi_avg_fn(keep)([a for a, _ in floats], [c for _, c in floats], 0)
        for average, current in pairs:
            if not average.is_floating_point():
                average.copy_(current)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the network's weights and the average; a second call undoes it."""
        for average, current in zip(self._average, self._current, strict=True):
            kept = current.clone()
            current.copy_(average)
            average.copy_(kept)

    def state_dict(self) -> dict[str, Tensor]:
        """The average, under the names of the network's own `state_dict`."""
        return dict(zip(self._names, self._average, strict=True))

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a saved average."""
        for name, average in zip(self._names, self._average, strict=True):
            average.copy_(state[name])


class AverageWeights(pl.Callback):
    """Keeps a `MovingAverage` of the network during training, and validates with it.

    The average is stored in checkpoints as the state of this callback.

    Args:
        decay: See `ema_decay`.
        warmup_steps: See `ema_decay`.
        validate: Whether validation uses the average instead of the last weights.
    """

    def __init__(self, *, decay: float, warmup_steps: int, validate: bool = True) -> None:
        self.decay = decay
        self.warmup_steps = warmup_steps
        self.validate = validate
        self.average: MovingAverage | None = None
        self._restored: Mapping[str, Tensor] | None = None
        self._last_step = 0

    @property
    def state_key(self) -> str:
        """Its name in a checkpoint, `callbacks` there."""
        return AVERAGE

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin where the network stands, or where the checkpoint left off."""
        network = pl_module.get_submodule("network")
        self.average = MovingAverage(network, decay=self.decay, warmup_steps=self.warmup_steps)
        self._last_step = trainer.global_step
        if self._restored is not None:
            self.average.load_state_dict(self._restored)
            self._restored = None

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Update after every optimizer step; accumulated batches in between do not count."""
        if self.average is not None and trainer.global_step != self._last_step:
            self._last_step = trainer.global_step
            self.average.update(trainer.global_step)

    def on_validation_start(self, *_: Any) -> None:
        """Put the average into the network."""
        if self.average is not None and self.validate:
            self.average.swap()

    def on_validation_end(self, *_: Any) -> None:
        """Put the weights back."""
        if self.average is not None and self.validate:
            self.average.swap()

    def state_dict(self) -> dict[str, Any]:
        """The average, for the checkpoint."""
        return {} if self.average is None else {"network": self.average.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the saved average until training starts."""
        self._restored = state_dict.get("network")
