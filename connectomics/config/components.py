"""What has to be known of what a config names, for its sections to be held against each other.

The rooms that have the components know it, and stand above; `load_config` is handed it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from connectomics.config.networks import schema_with
from connectomics.config.schema import Config, LossTermSection, NamedSection
from connectomics.config.schema.base import Section

Activation = Literal["sigmoid", "softmax"]


class LossFacts(NamedTuple):
    """What a loss is with its settings.

    Attributes:
        activation: What turns the logits that it trains into probabilities; None if unknown.
        takes_class_ids: Whether it wants one target channel of class ids rather than one for each
            logit.
        takes_weight: Whether it can leave voxels out.
    """

    activation: Activation | None
    takes_class_ids: bool
    takes_weight: bool


class DecoderFacts(NamedTuple):
    """What a decoder is.

    Attributes:
        exclusive: Whether its setting `exclusive` tells it that the channels are {background, pre,
            post}.
        sided: Whether its labels have sides.
    """

    exclusive: bool
    sided: bool


class NetworkFacts(Protocol):
    """What a network is."""

    @property
    def settings(self) -> type[Section]:
        """The section of `model` with its settings."""
        ...


@dataclass(frozen=True)
class Components:
    """What a config may name.

    Attributes:
        classes: From a target to how many classes each of its channels tells apart, 2 being yes
            or no; None for a name that is none.
        loss: From a term to what its loss is; a loss of MONAI need not be known.
        losses: The losses of this package.
        monai_losses: Others that are known.
        decoder: From the name of a decoder to what it is; None for a name that is none.
        networks: By `model.arch.type`.
    """

    classes: Callable[[NamedSection], tuple[int, ...] | None]
    loss: Callable[[LossTermSection], LossFacts]
    losses: Collection[str]
    monai_losses: Collection[str]
    decoder: Callable[[str], DecoderFacts | None]
    networks: Mapping[str, NetworkFacts]

    @property
    def schema(self) -> type[Config]:
        """The schema of a config that names these."""
        return schema_with({name: network.settings for name, network in self.networks.items()})

    @property
    def masked_losses(self) -> list[str]:
        """Losses of this package that can leave voxels out."""
        terms = (LossTermSection(function=name) for name in self.losses)
        return [term.function for term in terms if self.loss(term).takes_weight]
