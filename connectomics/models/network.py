"""What the rest of the program needs to know of a network, in one record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connectomics.config.schema.base import Section

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Network:
    """A network that a config may name.

    Attributes:
        function: From channels of the image, channels of the logits and settings, by name, to a
            module: images (B, C, Z, Y, X) of any size to logits of the same size. Where the module
            has `heads()`, as `RSUNet` has, these start as `model.head_bias` says. It imports torch
            when it is called: a config is read without.
        settings: The section of `model` that is named as the network. All of it has to be the same
            for a checkpoint to fit.
        widths: From settings to the channels of its features, those of the finest level first.
    """

    function: Callable[..., nn.Module]
    settings: type[Section]
    widths: Callable[[Any], Sequence[int]]
