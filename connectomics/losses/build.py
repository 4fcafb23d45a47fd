"""The losses a config may name, and from `model.loss` to their sum.

A new loss is a class of settings and its record (`Loss`) beside it, and a line in `LOSSES`. Any
other name is looked up in `monai.losses`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from connectomics.config.channels import channel_range
from connectomics.config.components import LossFacts
from connectomics.config.schema import LossSection, LossTermSection
from connectomics.config.signatures import check_kwargs
from connectomics.errors import ConfigError, DataError, Fault, did_you_mean
from connectomics.losses.cross_entropy import WEIGHTED_BCE, WEIGHTED_CE
from connectomics.losses.dice import DICE
from connectomics.losses.loss import Loss
from connectomics.losses.monai import monai_classes, monai_facts
from connectomics.losses.side import SIDE

if TYPE_CHECKING:
    from connectomics.losses.summed import SummedLoss

LOSSES: dict[str, Loss] = {
    "WeightedBCEWithLogitsLoss": WEIGHTED_BCE,
    "WeightedCE": WEIGHTED_CE,
    "DiceLoss": DICE,
    "SideLoss": SIDE,
}
"""Losses by their name in a config."""


def loss_facts(term: LossTermSection) -> LossFacts:
    """What the loss of a term is with its settings."""
    if term.function in LOSSES:
        return LOSSES[term.function].facts(term.kwargs)
    return monai_facts(term.function, term.kwargs)


def build_loss(loss: LossSection) -> SummedLoss:
    """Build the sum of all terms.

    Raises:
        ConfigError: A name or setting that does not exist.
    """
    from connectomics.losses.summed import LossTerm, SummedLoss

    return SummedLoss(
        [
            LossTerm(
                _loss_function(term),
                term.weight,
                term.pred_slice,
                term.target_slice,
                term.function,
                loss_facts(term).takes_weight,
            )
            for term in loss.losses
        ]
    )


def check_losses(loss: LossSection, channels: int) -> list[Fault]:
    """Find what is wrong with each term, all of it.

    Args:
        loss: The section.
        channels: Of the network.
    """
    faults = []
    for i, term in enumerate(loss.losses):
        faults += _term_faults(f"model.loss.losses[{i}]", term, channels)
    return faults


def _loss_function(term: LossTermSection) -> Callable[..., Any]:
    from connectomics.losses.monai_loss import MonaiLoss

    if term.function in LOSSES:
        return LOSSES[term.function].function(**term.kwargs)
    return MonaiLoss(term.function, term.kwargs)


def _term_faults(where: str, term: LossTermSection, channels: int) -> list[Fault]:
    own = {name: loss.function for name, loss in LOSSES.items()}
    choices = own if term.function in own else {**monai_classes(), **own}
    if term.function not in choices:
        remedy = did_you_mean(term.function, choices)
        return [Fault(f"{where}.function", f"there is no loss {term.function!r}.", remedy)]
    faults = check_kwargs(f"{where}.kwargs", choices[term.function], term.kwargs)
    try:
        start, stop = channel_range(term.pred_slice, channels, f"{where}.pred_slice")
    except ConfigError as error:
        return [*faults, *error.faults]
    return faults or _rehearsal_faults(where, term, stop - start)


def _rehearsal_faults(where: str, term: LossTermSection, channels: int) -> list[Fault]:
    """Compute the loss once on next to nothing: what it refuses here it would refuse later."""
    import torch

    try:
        function = _loss_function(term)
        target_channels = 1 if loss_facts(term).takes_class_ids else channels
        size = (4, 16, 16)
        function(torch.zeros(1, channels, *size), torch.zeros(1, target_channels, *size))
    except (ConfigError, DataError) as error:
        fault = error.faults[0]
        return [Fault(f"{where}.kwargs", f"{fault.where}: {fault.problem}", fault.remedy)]
    return []
