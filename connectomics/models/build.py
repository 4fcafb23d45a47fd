"""From the `model` section to a network and its loss."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from connectomics.config.channels import channel_range
from connectomics.config.schema import LossSection, LossTermSection, ModelSection
from connectomics.config.signatures import check_kwargs
from connectomics.errors import ConfigError, DataError, Fault, did_you_mean
from connectomics.models.losses import DiceLoss, WeightedBCEWithLogitsLoss, WeightedCE
from connectomics.models.monai_losses import MonaiLoss, monai_classes
from connectomics.models.rsunet import RSUNet
from connectomics.models.summed_loss import LossTerm, SummedLoss

LOSSES: dict[str, type[nn.Module]] = {
    "WeightedBCEWithLogitsLoss": WeightedBCEWithLogitsLoss,
    "WeightedCE": WeightedCE,
    "DiceLoss": DiceLoss,
}
"""Losses by name. Any other name is looked up in `monai.losses`."""

MODELS: dict[str, Callable[[ModelSection], nn.Module]] = {
    "rsunet": lambda model: RSUNet(
        model.in_channels, model.out_channels, **model.rsunet.model_dump()
    ),
}
"""Networks by `model.arch.type`."""


MOST_WEIGHTS = 1_000_000_000
"""Training keeps five numbers for each: 20 GB."""


def build_model(model: ModelSection) -> nn.Module:
    """Build the network, its weights drawn from torch's random state.

    Raises:
        ConfigError: Its shape makes no network.
    """
    return MODELS[model.arch.type](model)


def build_loss(loss: LossSection) -> SummedLoss:
    """Build the sum of all terms.

    Raises:
        ConfigError: A name or setting that does not exist.
    """
    return SummedLoss(
        [
            LossTerm(
                _loss_function(term), term.weight, term.pred_slice, term.target_slice, term.function
            )
            for term in loss.losses
        ]
    )


def check_model(model: ModelSection) -> list[Fault]:
    """Find what is wrong with the network and its loss, all of it."""
    faults = _network_faults(model)
    for i, term in enumerate(model.loss.losses):
        faults += _term_faults(f"model.loss.losses[{i}]", term, model.out_channels)
    return faults


def _loss_function(term: LossTermSection) -> nn.Module:
    if term.function in LOSSES:
        return LOSSES[term.function](**term.kwargs)
    return MonaiLoss(term.function, term.kwargs)


def _network_faults(model: ModelSection) -> list[Fault]:
    # Six convolutions of 3 x 3 x 3 at each level, on the way down and up again.
    weights = sum(6 * 27 * filters**2 for filters in model.rsunet.filters)
    if weights > MOST_WEIGHTS:
        problem = f"they make a network of {weights:.1g} weights; {MOST_WEIGHTS:.1g} is the most."
        return [Fault("model.rsunet.filters", problem, "Take fewer filters.")]
    try:
        with torch.random.fork_rng(devices=[]):  # checking changes nobody's random numbers
            build_model(model)
    except ConfigError as error:
        return [Fault(f"model.{f.where}", f.problem, f.remedy) for f in error.faults]
    return []


def _term_faults(where: str, term: LossTermSection, channels: int) -> list[Fault]:
    choices = LOSSES if term.function in LOSSES else {**monai_classes(), **LOSSES}
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
    try:
        function = _loss_function(term)
        target_channels = 1 if function.takes_class_ids else channels
        size = (4, 16, 16)
        function(torch.zeros(1, channels, *size), torch.zeros(1, target_channels, *size))
    except (ConfigError, DataError) as error:
        fault = error.faults[0]
        return [Fault(f"{where}.kwargs", f"{fault.where}: {fault.problem}", fault.remedy)]
    return []
