"""What a config may name, with its settings: targets, augmentations, losses, decoders, metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectomics import tuning
from connectomics.config import Config, Resolved, json_schema, load_config
from connectomics.config.checks.channels import check_loss_channels
from connectomics.config.components import Components, DecoderFacts
from connectomics.config.schema import NamedSection, SplitSection
from connectomics.config.signatures import default_settings, settings_schema
from connectomics.data.augmentation import AUGMENTATIONS
from connectomics.data.phantoms import NO_SETTINGS
from connectomics.data.processing.build import TARGETS, channel_names, classes_of
from connectomics.data.settings import check_settings
from connectomics.decoding import check_exports, steps
from connectomics.errors import Fault
from connectomics.evaluation.build import check_evaluation
from connectomics.evaluation.metric import GIVEN
from connectomics.evaluation.metrics import METRICS
from connectomics.losses.build import LOSSES, check_losses, loss_facts
from connectomics.losses.monai import MONAI_LOSSES
from connectomics.models.networks import NETWORKS


def _decoder_facts(name: str) -> DecoderFacts | None:
    if name not in steps.DECODERS:
        return None
    decoder = steps.DECODERS[name]
    return DecoderFacts("exclusive" in decoder.settings, decoder.encoding == "polarity")


KNOWN = Components(
    classes=classes_of,
    loss=loss_facts,
    losses=LOSSES,
    monai_losses=MONAI_LOSSES,
    decoder=_decoder_facts,
    networks=NETWORKS,
)
"""What the sections of a config are held against each other by."""


@dataclass(frozen=True)
class Component:
    """A function that a config may name.

    Attributes:
        function: Its keyword arguments are its settings.
        no_settings: But these.
    """

    function: Callable[..., Any]
    no_settings: tuple[str, ...] = ()

    @property
    def defaults(self) -> dict[str, Any]:
        """Its settings and their defaults."""
        return default_settings(self.function, skip=self.no_settings)

    @property
    def schema(self) -> dict[str, Any]:
        """Its settings as a JSON schema."""
        return settings_schema(self.function, skip=self.no_settings)


LISTS: dict[str, dict[str, Component]] = {
    "data.label_transform.targets": {
        name: Component(target.function, ("label",)) for name, target in TARGETS.items()
    },
    "decoding.steps": {
        **{name: Component(one.function, one.no_settings) for name, one in steps.DECODERS.items()},
        **{name: Component(one.function, one.no_settings) for name, one in steps.REFINERS.items()},
    },
    "evaluation.metrics": {
        name: Component(metric.function, GIVEN) for name, metric in METRICS.items()
    },
}
"""By the list of names and settings where they stand."""

AUGMENTERS = {name: Component(function) for name, function in AUGMENTATIONS.items()}
"""The keys of `data.augmentation`."""

TERMS = {name: Component(loss.function) for name, loss in LOSSES.items()}
"""What `model.loss.losses` may name."""


def _phantom() -> Component:
    """What `phantom.kwargs` of a split are the settings of."""
    from connectomics.phantom import make_phantom

    return Component(make_phantom, NO_SETTINGS)


def read_config(
    file: str | Path,
    *,
    mode: str = "train",
    overrides: Sequence[str] = (),
    presets: Sequence[Path] = (),
    torch: bool = True,
) -> Resolved:
    """Read a config file for a mode, and check all that it names; see `load_config`.

    Args:
        file: The YAML file.
        mode: One of `MODES`.
        overrides: `key=value` in Hydra's grammar.
        presets: Folders of presets beside those that come with the package.
        torch: Whether to check what takes PyTorch to check, which takes seconds to import.

    Raises:
        ConfigError: Every fault that could be found, each with its place and remedy.
    """
    checks = [check_names, check_model] if torch else [check_names]
    return load_config(
        file, mode=mode, overrides=overrides, components=KNOWN, checks=checks, presets=presets
    )


def check_names(config: Config) -> list[Fault]:
    """Find the names and settings of decoders, metrics, targets and augmentations that are none.

    What takes PyTorch to know, the losses, is checked by `check_model`.
    """
    known = [step for step in config.decoding.steps if step.name in steps.DECODERS]
    encoding = steps.output_encoding(known[0]) if known else "auto"
    return [
        *(check_settings(config.data) or _channel_faults(config)),
        *steps.check_decoding(config.decoding.steps, channels=config.model.out_channels),
        *check_exports(config.decoding.exports, "decoding.exports", encoding=encoding),
        *check_evaluation(config.evaluation, prediction_encoding=encoding),
        *tuning.check_tuning(config),
    ]


def _channel_faults(config: Config) -> list[Fault]:
    """Whether the targets name as many channels as the network has, where its losses fit them."""
    named, channels = channel_names(config.data.label_transform.targets), config.model.out_channels
    if len(named) == channels or any(check_loss_channels(config, KNOWN)):
        return []
    problem = f"{channels}, and data.label_transform.targets name {', '.join(named)}."
    remedy = f"Set it to {len(named)}, so that every channel has the name of what it learns."
    return [Fault("model.out_channels", problem, remedy)]


def check_model(config: Config) -> list[Fault]:
    """Find what is wrong with the network and its losses."""
    from connectomics.models.build import check_network

    return [
        *check_network(config.model),
        *check_losses(config.model.loss, config.model.out_channels),
    ]


def with_settings(config: Config) -> Config:
    """The same config, in which all that it names shows all of its settings.

    >>> config = Config(experiment_name="mine", decoding={"steps": ["binary2instance"]})
    >>> with_settings(config).decoding.steps[0].kwargs
    {'thres': 0.5, 'thres_small': 128, 'dilate_sz': 0}
    """
    transform, loss = config.data.label_transform, config.model.loss
    targets = _completed("data.label_transform.targets", transform.targets)
    steps = _completed("decoding.steps", config.decoding.steps)
    metrics = _completed("evaluation.metrics", config.evaluation.metrics)
    terms = tuple(
        term.model_copy(update={"kwargs": _with_defaults(TERMS, term.function, term.kwargs)})
        for term in loss.losses
    )
    augmentation = {
        name: kwargs if kwargs is None else _with_defaults(AUGMENTERS, name, kwargs)
        for name, kwargs in config.data.augmentation.items()
    }
    splits = {name: _with_phantom(getattr(config.data, name)) for name in ("train", "val", "test")}
    data = {
        **splits,
        "label_transform": transform.model_copy(update={"targets": targets}),
        "augmentation": augmentation,
    }
    loss = loss.model_copy(update={"losses": terms})
    return config.model_copy(
        update={
            "model": config.model.model_copy(update={"loss": loss}),
            "data": config.data.model_copy(update=data),
            "decoding": config.decoding.model_copy(update={"steps": steps}),
            "evaluation": config.evaluation.model_copy(update={"metrics": metrics}),
        }
    )


def _with_phantom(split: SplitSection | None) -> SplitSection | None:
    if split is None or split.phantom is None:
        return split
    kwargs = {**_phantom().defaults, **split.phantom.kwargs}
    return split.model_copy(update={"phantom": split.phantom.model_copy(update={"kwargs": kwargs})})


def _completed(place: str, named: tuple[NamedSection, ...]) -> tuple[NamedSection, ...]:
    return tuple(
        one.model_copy(update={"kwargs": _with_defaults(LISTS[place], one.name, one.kwargs)})
        for one in named
    )


def _with_defaults(
    known: Mapping[str, Component], name: str, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """All settings of what is known here; what is MONAI's has those that are given."""
    defaults = known[name].defaults if name in known else {}
    return {**defaults, **settings}


def config_schema() -> dict[str, Any]:
    """The JSON schema of a config, with the settings of all that it may name."""
    return json_schema(
        {place: _schemas(named) for place, named in LISTS.items()},
        losses=_schemas(TERMS),
        augmentations=_schemas(AUGMENTERS),
        phantom=_phantom().schema,
        config=KNOWN.schema,
    )


def _schemas(named: Mapping[str, Component]) -> dict[str, dict[str, Any]]:
    return {name: component.schema for name, component in named.items()}
