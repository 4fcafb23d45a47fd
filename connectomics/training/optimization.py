"""The optimizer, and the learning rate by step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Split the parameters into those that decay and those that do not.

    Biases, and the scales and shifts of normalisation and of PReLU, are left alone: pulling
    them to zero regularises nothing (Loshchilov & Hutter decay all; sparing them follows He et
    al., Bag of Tricks, 2019). They are the parameters of fewer than two dimensions.

    >>> groups = parameter_groups(nn.Sequential(nn.Conv3d(1, 2, 1), nn.BatchNorm3d(2)), 0.01)
    >>> [(len(group["params"]), group["weight_decay"]) for group in groups]
    [(1, 0.01), (3, 0.0)]
    """
    learned = [p for p in network.parameters() if p.requires_grad]
    groups = (
        {"params": [p for p in learned if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in learned if p.ndim < 2], "weight_decay": 0.0},
    )
    return [group for group in groups if group["params"]]


def build_optimizer(
    network: nn.Module,
    *,
    name: str = "AdamW",
    lr: float = 1e-3,
    weight_decay: float = 0.01,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    momentum: float = 0.9,
    fused: bool = False,
) -> torch.optim.Optimizer:
    """Build the optimizer.

    Args:
        network: What it optimises.
        name: "AdamW", "Adam" or "SGD".
        lr: Learning rate, > 0.
        weight_decay: On weights only; see `parameter_groups`.
        betas: Adam's and AdamW's.
        eps: Adam's and AdamW's.
        momentum: SGD's.
        fused: On a GPU, update all parameters in one kernel.
    """
    groups = parameter_groups(network, weight_decay)
    fused = fused and all(parameter.is_cuda for parameter in network.parameters())
    if name == "SGD":
        return torch.optim.SGD(groups, lr=lr, momentum=momentum, fused=fused)
    adam = {"AdamW": torch.optim.AdamW, "Adam": torch.optim.Adam}[name]
    return adam(groups, lr=lr, betas=betas, eps=eps, fused=fused)


class LearningRate:
    """The learning rate as a share of the optimizer's `lr`, step by step.

    It rises linearly to 1 during the warm-up. Then it falls along half a cosine ("cosine",
    Loshchilov & Hutter 2017, without restarts), stays ("constant"), or is what PyTorch's
    `ReduceLROnPlateau` makes of the observed scores ("plateau").

    Attributes:
        kind: "cosine", "constant" or "plateau".
        floor: The least share, `min_lr / lr`; "constant" ignores it.
        warmup_steps: Steps of the rise.
        t_max: Step at which the cosine reaches the floor; it stays there.
        plateau: PyTorch's, on a learning rate of 1.
        monitor: The score that it observes.

    >>> rate = LearningRate("cosine", floor=0.0, warmup_steps=2, t_max=6)
    >>> [round(rate(step), 3) for step in range(8)]
    [0.5, 1.0, 1.0, 0.854, 0.5, 0.146, 0.0, 0.0]
    """

    def __init__(
        self,
        kind: str,
        *,
        floor: float = 0.0,
        warmup_steps: int = 0,
        t_max: int = 1,
        monitor: str = "val_loss",
        **plateau: Any,
    ) -> None:
        self.kind = kind
        self.floor = floor
        self.warmup_steps = warmup_steps
        self.t_max = t_max
        self.monitor = monitor
        own = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        self.plateau = ReduceLROnPlateau(own, min_lr=floor, **plateau)

    def __call__(self, step: int) -> float:
        """The share at a step, counted from 0."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        if self.kind == "cosine":
            length = max(1, self.t_max - self.warmup_steps)
            done = min(1.0, (step - self.warmup_steps) / length)
            return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * done)) / 2
        return self._group["lr"] if self.kind == "plateau" else 1.0

    def observe(self, scores: Mapping[str, float]) -> None:
        """Tell the plateau the scores of a validation; the other kinds take no notice."""
        if self.kind == "plateau":
            self.plateau.step(scores[self.monitor])

    def state(self) -> dict[str, float]:
        """Where the plateau stands."""
        standing = {name: float(getattr(self.plateau, name)) for name in _STATE}
        return {**standing, "reduced": self._group["lr"]}

    def restore(self, state: Mapping[str, float]) -> None:
        """Go on from a `state`."""
        for name, kind in _STATE.items():
            setattr(self.plateau, name, kind(state[name]))
        self._group["lr"] = float(state["reduced"])

    @property
    def _group(self) -> dict[str, Any]:
        return self.plateau.optimizer.param_groups[0]


_STATE = {"best": float, "num_bad_epochs": int, "cooldown_counter": int}


KINDS = {
    "CosineAnnealingLR": "cosine",
    "ReduceLROnPlateau": "plateau",
    "ConstantLR": "constant",
}


def build_learning_rate(
    *,
    name: str,
    lr: float,
    warmup_steps: int,
    min_lr: float,
    t_max: int,
    eps: float,
    **plateau: Any,
) -> LearningRate:
    """Build the schedule that a config names; see `LearningRate`.

    Args:
        name: "CosineAnnealingLR", "ReduceLROnPlateau" or "ConstantLR".
        lr: The optimizer's learning rate.
        warmup_steps: Steps of linear rise.
        min_lr: Where the fall ends.
        t_max: The step at which it does.
        eps: A fall of the learning rate by less than this is none.
        **plateau: Other settings of `ReduceLROnPlateau`, and the score to `monitor`.
    """
    return LearningRate(
        KINDS[name],
        floor=min(1.0, min_lr / lr),
        warmup_steps=warmup_steps,
        t_max=t_max,
        eps=eps / lr,
        **plateau,
    )


class StepScheduler(LambdaLR):
    """Lets a `LearningRate` drive every parameter group of an optimizer.

    Only what training has changed is saved: the step and the plateau. The settings stay those
    of the config, so that a resumed run may change them.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, rate: LearningRate) -> None:
        self.rate = rate
        super().__init__(optimizer, [rate] * len(optimizer.param_groups))

    def state_dict(self) -> dict[str, Any]:
        """Where the schedule stands."""
        return {"step": self.last_epoch, **self.rate.state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.rate.restore(state_dict)
        self.last_epoch = state_dict["step"]
        for group, initial in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["initial_lr"] = initial
            group["lr"] = initial * self.rate(self.last_epoch)
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]
