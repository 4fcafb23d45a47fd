"""Whether ground truth is stored as a config says, seen before anything is trained or predicted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from connectomics.config.schema import Config, ScoringSection
from connectomics.data.build import open_split
from connectomics.data.volumes import LabelledVolume, Volume
from connectomics.decoding.steps import DECODERS, output_encoding
from connectomics.errors import DataError, Fault
from connectomics.evaluation import Labels, list_extents
from connectomics.evaluation.build import check_evaluation
from connectomics.evaluation.encoding import Encoding, likely_encoding
from connectomics.pipeline.label_volumes import open_labels
from connectomics.pipeline.scoring import stored_as

KEY = "evaluation.truth_encoding"
REMEDY = f"Leave {KEY} out: how labels are stored is read from the file, or seen from the labels."


def scored_truth_faults(config: Config) -> list[Fault]:
    """Find what keeps the test volumes from being scored, as far as their labels show it.

    Volumes that are not there, or hold no labels, are left to whoever opens them.
    """
    split = config.data.test
    if split is None or not (config.evaluation.enabled and config.decoding.steps):
        return []
    if split.phantom is not None:
        return _phantom_faults(config.evaluation)
    try:
        volumes = open_split(split, "data.test")
    except DataError:
        return []
    return truth_faults(config, volumes)


def truth_faults(config: Config, volumes: Sequence[LabelledVolume]) -> list[Fault]:
    """Find labels that are not stored as the config says, or do not allow its metrics.

    Args:
        config: With decoder and evaluation.
        volumes: Those without labels are passed over.

    Returns:
        Faults at keys of the config; they name the volume.
    """
    first = config.decoding.steps[0]
    prediction = output_encoding(first) if first.name in DECODERS else "auto"
    faults: list[Fault] = []
    for volume in volumes:
        if volume.label is not None:
            faults += _label_faults(volume.label, config.evaluation, prediction)
    return faults


def _phantom_faults(section: ScoringSection) -> list[Fault]:
    if section.truth_encoding != "semantic":
        return []
    problem = "is semantic, and the labels of a phantom are polarity labels."
    return [Fault(KEY, problem, REMEDY)]


def _label_faults(label: Volume, section: ScoringSection, prediction: Encoding) -> Iterator[Fault]:
    stated, name = section.truth_encoding, label.source
    try:
        if stated == "semantic":
            labels, _ = open_labels(label)
            yield from _not_semantic(labels, name)
        if stated != "auto":
            return
        stored = stored_as(label)
    except DataError:
        return
    section = section.model_copy(update={"truth_encoding": stored.encoding})
    for fault in check_evaluation(section, prediction_encoding=prediction):
        how = ", going by their values" if stored.guessed else ", as the file says"
        problem = f"{name} holds {stored.encoding} labels{how}: {fault.problem}"
        remedy = f"{fault.remedy} If they are others, say so in {KEY}."
        yield Fault(fault.where, problem, remedy)


def _not_semantic(labels: Labels, name: str) -> Iterator[Fault]:
    if (top := list_extents(labels).top) > 2:
        problem = f"is semantic (0, 1 = pre, 2 = post), and {name} holds {top}{_look(labels)}."
        yield Fault(KEY, problem, REMEDY)


def _look(labels: Labels) -> str:
    likely = likely_encoding(labels)
    return "" if likely == "auto" else f": they look like {likely} labels"
