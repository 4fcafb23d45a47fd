"""What a config may name, with its settings: targets, decoders and metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from connectomics.config import json_schema
from connectomics.config.schema import Config, NamedSection
from connectomics.config.signatures import default_settings, settings_schema
from connectomics.data.processing.build import TARGETS
from connectomics.decoding.steps import DECODERS, LABELS, REFINERS
from connectomics.evaluation.metric import GIVEN
from connectomics.evaluation.metrics import METRICS


@dataclass(frozen=True)
class Component:
    """A function that a config may name.

    Attributes:
        function: Its keyword arguments are its settings.
        no_settings: But these.
    """

    function: Callable[..., Any]
    no_settings: tuple[str, ...]

    @property
    def defaults(self) -> dict[str, Any]:
        """Its settings and their defaults."""
        return default_settings(self.function, skip=self.no_settings)

    @property
    def schema(self) -> dict[str, Any]:
        """Its settings as a JSON schema."""
        return settings_schema(self.function, skip=self.no_settings)


COMPONENTS: dict[str, dict[str, Component]] = {
    "data.label_transform.targets": {
        name: Component(target.function, ("label",)) for name, target in TARGETS.items()
    },
    "decoding.steps": {
        **{name: Component(one.function, one.no_settings) for name, one in DECODERS.items()},
        **{name: Component(function, LABELS) for name, function in REFINERS.items()},
    },
    "evaluation.metrics": {
        name: Component(metric.function, GIVEN) for name, metric in METRICS.items()
    },
}
"""By the list that names them."""


def with_settings(config: Config) -> Config:
    """The same config, in which targets, decoders and metrics show all of their settings.

    >>> config = Config(experiment_name="mine", decoding={"steps": ["binary2instance"]})
    >>> with_settings(config).decoding.steps[0].kwargs
    {'thres': 0.5, 'thres_small': 128, 'dilate_sz': 0}
    """
    transform, metrics = config.data.label_transform, config.evaluation.metrics
    targets = _completed("data.label_transform.targets", transform.targets)
    steps = _completed("decoding.steps", config.decoding.steps)
    metrics = _completed("evaluation.metrics", metrics)
    label_transform = transform.model_copy(update={"targets": targets})
    return config.model_copy(
        update={
            "data": config.data.model_copy(update={"label_transform": label_transform}),
            "decoding": config.decoding.model_copy(update={"steps": steps}),
            "evaluation": config.evaluation.model_copy(update={"metrics": metrics}),
        }
    )


def _completed(place: str, named: tuple[NamedSection, ...]) -> tuple[NamedSection, ...]:
    known: Mapping[str, Component] = COMPONENTS[place]
    return tuple(
        one.model_copy(update={"kwargs": {**known[one.name].defaults, **one.kwargs}})
        for one in named
    )


def config_schema() -> dict[str, Any]:
    """The JSON schema of a config, with the settings of all that it may name."""
    return json_schema(
        {
            place: {name: component.schema for name, component in named.items()}
            for place, named in COMPONENTS.items()
        }
    )
