"""From the `model` section to a network."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from connectomics.config.schema import ModelSection
from connectomics.errors import ConfigError, Fault
from connectomics.models.rsunet import RSUNet

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


def check_network(model: ModelSection) -> list[Fault]:
    """Find what keeps the network from being built."""
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
