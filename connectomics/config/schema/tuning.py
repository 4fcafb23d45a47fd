"""`tune`: the search for decoder settings on the validation volumes."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from connectomics.config.schema.base import Section


class RangeSection(Section):
    """Everything from `low` to `high`; `log` searches orders of magnitude evenly."""

    low: Annotated[float, Field(ge=-1e15, le=1e15)]
    high: Annotated[float, Field(ge=-1e15, le=1e15)]
    log: bool = False


class ChoicesSection(Section):
    """These values and no others."""

    choices: Annotated[tuple[Any, ...], Field(max_length=1000)]


Candidates = Annotated[tuple[Any, ...], Field(max_length=1000)] | RangeSection | ChoicesSection
"""Two numbers in a list are a range, everything else in a list are choices."""


def _one_alone(value: Any) -> Any:
    return (value,) if isinstance(value, int | float) else value


Threshold = Annotated[float, Field(gt=0, le=1)]
Thresholds = Annotated[
    tuple[Threshold, ...],
    BeforeValidator(_one_alone, json_schema_input_type=Threshold | tuple[Threshold, ...]),
    Field(min_length=1, max_length=100),
]


class TuneSection(Section):
    """Which settings of the decoder are searched, for which score, and how long.

    `trials` counts those of earlier runs of the same search. The `metric` follows from the decoder
    unless given; it is averaged over `iou_thresholds`. `space` names exactly the settings to
    search, such as `{thres: [0.3, 0.7], vote: [true, false]}`; without it, those are searched
    that the decoder brings along.
    """

    trials: Annotated[int, Field(gt=0, le=100_000)] = 100
    metric: str | None = None
    iou_thresholds: Thresholds = (0.3, 0.5, 0.75)
    space: dict[str, Candidates] | None = None
