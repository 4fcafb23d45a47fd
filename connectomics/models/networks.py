"""The networks a config may name.

A new network is a function of channels and settings, a section of settings and a record (`Network`)
beside it, and a line in `NETWORKS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from connectomics.config.schema import RSUNetSection
from connectomics.models.network import Network

if TYPE_CHECKING:
    from torch import nn


def _rsunet(in_channels: int, out_channels: int, **settings: Any) -> nn.Module:
    from connectomics.models.rsunet import RSUNet

    return RSUNet(in_channels, out_channels, **settings)


RSUNET = Network(_rsunet, settings=RSUNetSection, widths=lambda settings: settings.filters)

NETWORKS: dict[str, Network] = {"rsunet": RSUNET}
"""Networks by `model.arch.type`."""


def sections() -> dict[str, type]:
    """The sections of `model` that hold their settings, by name."""
    return {name: network.settings for name, network in NETWORKS.items()}
