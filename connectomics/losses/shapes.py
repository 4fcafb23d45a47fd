"""What every loss asks of its logits, target, weight and settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectomics.errors import ConfigError, DataError

if TYPE_CHECKING:
    from torch import Tensor

TINY = 1e-12
"""Nothing is divided by less."""

LARGEST_WEIGHT = 1e6


def spread(weight: Tensor | None, logits: Tensor) -> Tensor:
    """The weight of every voxel of every channel, (B, C, Z, Y, X)."""
    import torch

    if weight is None:
        return torch.ones_like(logits)
    return weight.float().expand_as(logits)


def counted(weight: Tensor) -> Tensor:
    """The sum of the weights, by which a mean divides."""
    return weight.sum().clamp(min=TINY)


def require_weights(where: str, value: float | list[float] | None, *, zero: bool = True) -> None:
    """Refuse weights that would reward mistakes, or drown all else."""
    weights = value if isinstance(value, list) else [] if value is None else [value]
    if all(0 <= w <= LARGEST_WEIGHT and (zero or w) for w in weights):
        return
    bounds = f"0 to {LARGEST_WEIGHT:,.0f}" + (", and not 0" if not zero else "")
    raise ConfigError(where, f"has to be {bounds}, not {value}.")


def require_same_shape(who: str, logits: Tensor, target: Tensor) -> None:
    """Refuse a target of another shape."""
    if logits.shape != target.shape:
        raise DataError(
            who,
            f"logits have shape {tuple(logits.shape)}, the target has {tuple(target.shape)} "
            "(batch, channels, z, y, x).",
            "Let pred_slice and target_slice pick as many channels from either.",
        )


def class_ids_of(who: str, logits: Tensor, target: Tensor) -> Tensor:
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


def require_one_per_channel(where: str, count: int, logits: Tensor, *, one: bool = False) -> None:
    """Refuse another number of weights than there are channels; `one` allows one for all."""
    channels = logits.shape[1]
    if count != channels and not (one and count == 1):
        raise ConfigError(
            where, f"{count} numbers for {channels} channels.", f"Give {channels}, one for each."
        )
