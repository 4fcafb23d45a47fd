"""What the rest of the program needs to know of a metric, in one record beside its function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from connectomics.legal import Legal, number

if TYPE_CHECKING:
    from connectomics.evaluation.counts import Score

GIVEN = (
    "truth",
    "prediction",
    "mask",
    "resolution",
    "confidence",
    "truth_encoding",
    "prediction_encoding",
    "iou_thresholds",
    "ignore_border",
    "truth_sites",
    "prediction_sites",
)
"""Arguments that come with the volumes and the section, and are no settings of a metric."""

Iou = Annotated[float, number(0, 1)]
Nanometres = Annotated[float, number(0, 10**6)]
Edge = Annotated[
    int | None,
    Legal(
        lambda edge: not edge or (number(0, 1000, whole=True).test(edge) and edge % 2 == 1),
        "0 or an odd number up to 999",
        "It is the edge of a square around a voxel in its middle.",
        {"minimum": 0, "maximum": 999},
    ),
]
"""The settings of metrics: the types of their arguments."""

INTERVAL = "95%: bootstrap over synapses, - if all fare alike"


@dataclass(frozen=True)
class Metric:
    """A metric that a config may name.

    Attributes:
        function: Takes those of the `GIVEN` arguments that it names, and settings.
        legend: What its block of the table shows; defaults in brackets.
        sided_truth: It needs pre and post sides in the truth.
        sided_prediction: It needs them in the prediction.
        of_sites: It compares where synapses are, not their voxels.
        of_neurons: It compares which neurons they connect, so that these have to be known.
        goals: The numbers of its score that `tune.metric` may name, by the name there. All lie
            between 0 and 1, and more is better.
        passes: For what it goes through large volumes; metrics share those of a name.
    """

    function: Callable[..., Score]
    legend: str
    sided_truth: bool = False
    sided_prediction: bool = False
    of_sites: bool = False
    of_neurons: bool = False
    goals: Mapping[str, str] = field(default_factory=dict)
    passes: tuple[str, ...] = ("pairs",)

    @property
    def given(self) -> set[str]:
        """The `GIVEN` arguments that it takes."""
        return {name for name in inspect.signature(self.function).parameters if name in GIVEN}

    @property
    def matches(self) -> bool:
        """Whether it matches synapses one to one, and so has a score for each IoU threshold."""
        return "iou_thresholds" in self.given
