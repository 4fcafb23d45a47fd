"""What the rest of the program needs to know of a loss, in one record beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from connectomics.config.components import LossFacts


@dataclass(frozen=True)
class Loss:
    """A loss that a config may name.

    Attributes:
        function: From settings to a function of logits, target and weight, which gives a number.
        exclusive: Whether its channels are classes that exclude each other (a softmax), and its
            target one channel of class ids. If not, each channel is a yes-no question (a sigmoid).
        exclusive_by: The setting that makes it so where it is on.
        takes_weight: Whether it can leave voxels out.
    """

    function: Callable[..., Callable[..., Any]]
    exclusive: bool = False
    exclusive_by: str = ""
    takes_weight: bool = True

    def facts(self, settings: Mapping[str, Any]) -> LossFacts:
        """What it is with these settings.

        >>> from connectomics.losses.dice import DICE
        >>> DICE.facts({"softmax": True}).activation
        'softmax'
        """
        exclusive = self.exclusive or bool(settings.get(self.exclusive_by))
        activation = "softmax" if exclusive else "sigmoid"
        return LossFacts(activation, exclusive, self.takes_weight)
