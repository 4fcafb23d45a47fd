"""From the `tune`, `decoding` and `evaluation` sections to a search."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from connectomics.config.schema import (
    ChoicesSection,
    Config,
    EvaluationSection,
    NamedSection,
    RangeSection,
)
from connectomics.decoding import decode, output_encoding
from connectomics.decoding.steps import needs_resolution
from connectomics.evaluation import (
    Encoding,
    LabelPair,
    Score,
    SynapseCount,
    count_synapses,
    evaluate_volumes,
    interpret,
)
from connectomics.evaluation.encoding import SIDED
from connectomics.geometry import NOWHERE, VoxelGrid
from connectomics.tuning.objective import GOALS, Objective, ValidationVolume, goal_value
from connectomics.tuning.search import Search
from connectomics.tuning.spaces import (
    Choices,
    Dimension,
    Range,
    Space,
    changed,
    default_space,
    is_whole,
    read_dimension,
    settings_of,
    split_name,
    value_of,
)

if TYPE_CHECKING:
    from connectomics.config.schema.tuning import Candidates


def step_with(step: NamedSection, values: Mapping[str, Any]) -> NamedSection:
    """The decoder with other values of some dimensions."""
    settings = settings_of(step.name, step.kwargs)
    names = {split_name(name)[0] for name in values}
    new = {k: v for k, v in changed(settings, values).items() if k in names or k in step.kwargs}
    return step.model_copy(update={"kwargs": new})


def dimension_of(entry: Candidates, decoder: str, name: str) -> Dimension:
    """Read one entry of `tune.space`."""
    if isinstance(entry, RangeSection):
        return Range(entry.low, entry.high, entry.log, is_whole(decoder, name))
    if isinstance(entry, ChoicesSection):
        return Choices(entry.choices)
    return read_dimension(entry, decoder, name)


def build_search(config: Config, volumes: Sequence[ValidationVolume]) -> Search:
    """Build the search that the `tune`, `decoding` and `evaluation` sections describe.

    Args:
        config: Without faults, see `check_tuning`.
        volumes: To decode and score in every trial. Semantic and binary truth is grouped into
            objects here, once.

    Raises:
        DataError: The truth is not stored as `evaluation.truth_encoding` says.
    """
    first = config.decoding.steps[0]
    configured = settings_of(first.name, first.kwargs)
    if config.tune.space is None:
        space = default_space(first.name, configured)
    else:
        entries = config.tune.space.items()
        space = {name: dimension_of(entry, first.name, name) for name, entry in entries}
    assert config.tune.metric is not None
    goal, scoring = GOALS[config.tune.metric], _scoring(config)
    encoding = output_encoding(first)
    grouped = [_grouped(volume, scoring, encoding) for volume in volumes]
    values = {name: value_of(configured, name) for name in space}
    objective = Objective(
        grouped,
        decode=partial(_decode, config.decoding.steps),
        score=partial(_score, scoring, goal.metric, encoding),
        value=partial(goal_value, goal),
    )
    seed = config.system.seed
    identity = _identity(config, space) | {
        "scoring": scoring.model_dump(mode="json"),
        "seed": seed,
        "volumes, labels or probabilities": [[v.name, _fingerprint(v)] for v in grouped],
    }
    counts = (count_synapses(v.truth, v.truth_encoding, sided=True, mask=v.mask) for v in grouped)
    count = sum(counts, SynapseCount(0, 0))
    names = ", ".join(volume.name for volume in grouped)
    on, score = f"{names} with {count}", _score_in_words(config)
    exclusive = bool(configured.get("exclusive"))
    return Search(space, values, objective, seed, identity, score, on, count.number, exclusive)


def tuned_steps(config: Config, values: Mapping[str, Any]) -> tuple[NamedSection, ...]:
    """`decoding.steps` with other values of the searched settings."""
    first, *others = config.decoding.steps
    return (step_with(first, values), *others)


def _score_in_words(config: Config) -> str:
    name, thresholds = config.tune.metric, config.tune.iou_thresholds
    if not GOALS[str(name)].of_thresholds:
        return str(name)
    listed = ", ".join(f"{threshold:g}" for threshold in thresholds)
    return f"{name} ({'mean over' if len(thresholds) > 1 else 'at'} IoU {listed})"


def _identity(config: Config, space: Space) -> dict[str, Any]:
    """What trials depend on, but for the volumes and how they are scored."""
    first, *others = config.decoding.steps
    return {
        "decoder": first.name,
        "metric": config.tune.metric,
        "space": {name: repr(dimension) for name, dimension in space.items()},
        "configured settings": settings_of(first.name, first.kwargs),
        "further steps": [step.model_dump(mode="json") for step in others],
    }


def _fingerprint(volume: ValidationVolume) -> str:
    text = hashlib.sha256(repr(volume.resolution).encode())
    for array in (volume.probabilities, volume.truth, volume.mask, volume.neurons):
        if array is not None:
            text.update(f"{array.dtype} {array.shape}".encode())
            text.update(np.ascontiguousarray(array).data)
    return text.hexdigest()[:12]


def _scoring(config: Config) -> EvaluationSection:
    """The `evaluation` section with one metric, as configured, at the thresholds of tuning."""
    wanted = GOALS[str(config.tune.metric)].metric
    kwargs = [metric.kwargs for metric in config.evaluation.metrics if metric.name == wanted]
    metric = NamedSection(name=wanted, kwargs=kwargs[0] if kwargs else {})
    return config.evaluation.model_copy(
        update={"metrics": (metric,), "iou_thresholds": config.tune.iou_thresholds}
    )


def _grouped(
    volume: ValidationVolume, scoring: EvaluationSection, encoding: Encoding
) -> ValidationVolume:
    """A volume whose truth is objects, as scoring would make them of it every time."""
    read = interpret(
        f"truth of {volume.name}",
        volume.truth,
        _truth_encoding(volume, scoring, sided=encoding in SIDED),
        sided=encoding in SIDED,
        mask=volume.mask,
        dilate_sz=scoring.metrics[0].kwargs.get("dilate_sz"),
    )
    for note in read.notes:
        print(f"tune: {note}")
    sided = read.encoding in SIDED
    return volume._replace(truth=read.array, truth_encoding="polarity" if sided else "instance")


def _truth_encoding(
    volume: ValidationVolume, scoring: EvaluationSection, *, sided: bool
) -> Encoding:
    """As the config says, else as the truth was seen to be, if the decoder's labels are alike."""
    seen = volume.truth_encoding
    if scoring.truth_encoding != "auto":
        return scoring.truth_encoding
    return seen if (seen in SIDED) == sided else "auto"


def _decode(
    steps: tuple[NamedSection, ...], volume: ValidationVolume, values: Mapping[str, Any]
) -> np.ndarray:
    first, *others = steps
    return decode(
        volume.probabilities,
        [step_with(first, values), *others],
        # A decoder that can do without makes no table then, which no score needs.
        grid=VoxelGrid(volume.resolution) if needs_resolution(first) else NOWHERE,
        neurons=volume.neurons,
    ).labels


def _score(
    scoring: EvaluationSection,
    metric: str,
    encoding: Encoding,
    volume: ValidationVolume,
    labels: np.ndarray,
) -> Score:
    pair = LabelPair(
        volume.name,
        volume.truth,
        labels,
        prediction_encoding=encoding,
        resolution=volume.resolution,
        mask=volume.mask,
    )
    of_objects = scoring.model_copy(update={"truth_encoding": volume.truth_encoding})
    return evaluate_volumes([pair], of_objects).pooled[metric]
