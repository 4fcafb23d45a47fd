"""What the settings of decoders are: the types of their arguments.

The same holds for a call from Python and for a config.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from connectomics.decoding.calibration import CALIBRATION_REMEDY, is_calibration
from connectomics.legal import Legal, number

LARGEST_EDGE = 1000
LARGEST_DISTANCE = 20_000
LARGEST_FACTOR = 32
LARGEST_GAP = 250
"""In nm, between pieces of one side. All voxels within it are looked at, so it costs its square."""

_PROBABILITY = number(0, 1, "a number in [0, 1]")
_FACTOR = number(1 / LARGEST_FACTOR, LARGEST_FACTOR)


def _are_thresholds(value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, tuple | list) or len(value) != 2:
        return False
    return all(_PROBABILITY.test(p) for p in value) and value[0] <= value[1]


def _are_factors(value: Any) -> bool:
    listed = isinstance(value, tuple | list) and len(value) == 3
    return listed and all(_FACTOR.test(factor) for factor in value)


def _edge(what: str, remedy: str) -> Legal:
    wanted = f"a whole number of {what}, 0 to {LARGEST_EDGE}"
    return number(0, LARGEST_EDGE, wanted, remedy, whole=True)


def _distance(longest: float) -> Legal:
    return number(0, longest, f"a distance in nm, 0 to {longest}")


Flag = Annotated[
    bool, Legal(lambda value: isinstance(value, (bool, np.bool_)), "true or false")
]  # fmt: skip
Probability = Annotated[float, _PROBABILITY]
Share = Annotated[float, number(0, 1, "a share in [0, 1]")]
Threshold = Annotated[
    float,
    number(
        0,
        1,
        "a number in [0, 1]",
        "The threshold is a probability, whatever the dtype of the volume: 127 of 255 is 0.5.",
    ),
]
Thresholds = Annotated[
    tuple[float, float] | None,
    Legal(
        _are_thresholds,
        "two numbers 0 <= low <= high <= 1, or None",
        "Give the low and the high threshold of the union, such as [0.3, 0.5]; null is off.",
    ),
]
Saddle = Annotated[
    float | None,
    Legal(
        lambda value: value is None or _PROBABILITY.test(value),
        "a number in [0, 1] or None",
        "It is the share of the weaker peak below which synapses are split; null is off.",
        _PROBABILITY.schema,
    ),
]
Voxels = Annotated[
    int,
    number(
        0,
        float("inf"),
        "a whole number of voxels, 0 or more",
        "Pieces of fewer voxels are dropped; 0 keeps all.",
        whole=True,
    ),
]
Edge = Annotated[
    int,
    _edge(
        "voxels",
        "It is the edge of the square by which the union is dilated; 0 and 1 leave it as it is.",
    ),
]
Sections = Annotated[int, _edge("sections", "0 is off.")]
Distance = Annotated[float, _distance(LARGEST_DISTANCE)]
Gap = Annotated[float, _distance(LARGEST_GAP)]
Volume = Annotated[
    float,
    Legal(
        lambda value: number(0, float("inf")).test(value) and value < float("inf"),
        "a volume in nm³, 0 or more",
        "A voxel of 30 by 8 by 8 nm has 1920 nm³.",
        {"minimum": 0},
    ),
]
Factors = Annotated[
    tuple[float, float, float],
    Legal(
        _are_factors,
        f"three numbers from {1 / LARGEST_FACTOR} to {LARGEST_FACTOR}",
        "Give one factor each for z, y and x, such as [1.0, 0.5, 0.5].",
    ),
]
Calibration = Annotated[
    dict[str, Any] | None,
    Legal(
        lambda value: value is None or is_calibration(value), "a calibration", CALIBRATION_REMEDY
    ),
]
