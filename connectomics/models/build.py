"""From the `model` section to a network."""

from __future__ import annotations

import torch
from torch import nn

from connectomics.config.schema import ModelSection
from connectomics.errors import ConfigError, Fault
from connectomics.models.networks import NETWORKS

MOST_WEIGHTS = 1_000_000_000
"""Training keeps five numbers for each: 20 GB."""


def build_model(model: ModelSection) -> nn.Module:
    """Build the network, its weights drawn from torch's random state.

    Raises:
        ConfigError: Its shape makes no network.
    """
    build, settings = NETWORKS[model.arch.type].function, model.network
    return build(model.in_channels, model.out_channels, **dict(settings))


def check_network(model: ModelSection) -> list[Fault]:
    """Find what keeps the network from being built."""
    try:
        with torch.device("meta"), torch.random.fork_rng(devices=[]):  # takes neither memory nor
            network = build_model(model)  # random numbers
    except ConfigError as error:
        return [Fault(f"model.{f.where}", f.problem, f.remedy) for f in error.faults]
    weights = sum(parameter.numel() for parameter in network.parameters())
    if weights > MOST_WEIGHTS:
        problem = f"it is a network of {weights:.1g} weights; {MOST_WEIGHTS:.1g} is the most."
        return [Fault(f"model.{model.arch.type}", problem, "Make it smaller.")]
    return []
