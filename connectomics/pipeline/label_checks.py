"""What labels hold that cannot be meant: an error where it surely is not, else a warning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np

from connectomics.config.schema import Config, DataSection, ScoringSection, SplitSection
from connectomics.data.build import Given, open_split
from connectomics.data.checks import split_faults
from connectomics.data.processing.build import learns_sides
from connectomics.data.processing.marks import CREMI_BACKGROUND
from connectomics.data.survey import LabelSurvey, evenness, sample, survey_labels
from connectomics.data.volumes import LabelledVolume, Volume
from connectomics.decoding.steps import DECODERS, output_encoding
from connectomics.errors import DataError, Fault, warn
from connectomics.evaluation import Labels, list_extents
from connectomics.evaluation.build import check_evaluation
from connectomics.evaluation.encoding import Encoding, likely_encoding
from connectomics.scoring.labels import open_labels
from connectomics.scoring.pairs import stored_as

Split = Literal["train", "val", "test"]

FULL, HALF = 0.9, 0.5
"""Shares of a volume. Synapses are about one per cent of tissue."""

CROWDED = 1000
"""Voxels per object. A synapse has thousands, and around it are a hundred times as many."""

FEW_GREY_VALUES = 3

SWAPPED = "Are image and label swapped?"
MASK = (
    "If it is a mask without sides, learn the target binary: data.label_transform.targets=[binary] "
    "(tutorials/syn_cremi.yaml)."
)


def require_labels(section: DataSection, *splits: Split, learns: bool = False) -> None:
    """Look at the labels and images of splits, and say what cannot be right.

    Volumes that are not there, have no labels or are phantoms are left out.

    Args:
        section: The whole section.
        splits: Which of it.
        learns: Whether a network will learn from `data.train`, so that it has to suit the targets.

    Raises:
        DataError: Everything that is surely wrong.
    """
    sided = learns and learns_sides(section.label_transform.targets)
    faults, doubts = [], []
    for name in splits:
        split, where = getattr(section, name), f"data.{name}"
        if split is None or split.label is None or split_faults(split, where):
            continue
        found = _looked_at(open_split(split, where), sided=sided and name != "test")
        faults += found.faults
        doubts += found.doubts
        if learns and name == "train":
            faults += _learning_faults(found.surveys, f"{where}.label", sided=sided)
    _say(faults, doubts)


def require_sound(volumes: Sequence[LabelledVolume], split: SplitSection | None) -> None:
    """Look at the labels and images of open volumes of a split, unless they are phantoms.

    Raises:
        DataError: Everything that is surely wrong.
    """
    if split is not None and split.label is not None:
        found = _looked_at(volumes, sided=False)
        _say(found.faults, found.doubts)


def require_labels_of(given: Given, section: DataSection) -> None:
    """Look at the labels and images of volumes that are there already; see `require_labels`.

    Raises:
        DataError: Everything that is surely wrong.
    """
    sided = learns_sides(section.label_transform.targets)
    train, val = (_looked_at(volumes, sided=sided) for volumes in given)
    faults = [*train.faults, *_learning_faults(train.surveys, "label", sided=sided), *val.faults]
    _say(faults, [*train.doubts, *val.doubts])


class _Looked(NamedTuple):
    """What was seen of some volumes."""

    surveys: list[LabelSurvey]
    faults: list[Fault]
    doubts: list[Fault]


def _looked_at(volumes: Sequence[LabelledVolume], *, sided: bool) -> _Looked:
    looked = _Looked([], [], [])
    for volume in volumes:
        assert volume.label is not None
        survey = survey_labels(volume.label)
        looked.surveys.append(survey)
        looked.faults.extend(label_faults(survey))
        looked.doubts.extend(_image_doubts(volume.image))
        looked.doubts.extend(_label_doubts(survey, sided=sided))
    return looked


def _say(faults: Sequence[Fault], doubts: Sequence[Fault]) -> None:
    if faults:
        raise DataError.of(faults)
    for doubt in doubts:
        warn(doubt.where, doubt.problem, doubt.remedy)


def label_faults(survey: LabelSurvey) -> list[Fault]:
    """Find what no labels of synapses hold."""
    if survey.evenness < HALF and survey.filled > 1 - FULL and survey.ids.size > 2:
        problem = (
            f"{1 - survey.evenness:.0%} of its labelled voxels differ from the next one in x: it "
            "holds grey values or probabilities, and no labels."
        )
        return [Fault(survey.source, problem, f"{SWAPPED} Name the label file.")]
    if survey.filled < FULL:
        return []
    largest = int(np.argmax(survey.voxels))
    share = survey.voxels[largest] / survey.labels.size
    what = f"{survey.filled:.0%} of it is labelled"
    if share >= FULL:
        problem = f"{what}, {share:.0%} as {survey.ids[largest]}: that is no synapse."
        remedy = f"If {survey.ids[largest]} is its background, write 0 instead. {SWAPPED}"
    else:
        problem = f"{what}, as {survey.ids.size} objects: that is a segmentation of everything."
        remedy = "Name the label of the synapses; the one of the neurons is data.*.neurons."
    return [Fault(survey.source, problem, remedy)]


def _learning_faults(surveys: Sequence[LabelSurvey], where: str, *, sided: bool) -> list[Fault]:
    """What the labels of all volumes together lack."""
    ids = np.unique(np.concatenate([survey.ids for survey in surveys]))
    if not ids.size:
        return []  # `what_counts` looks at all of it, and at the masks
    odd = ids % 2 == 1
    if not sided or (odd.any() and not odd.all()):
        return []
    missing = "post (even numbers)" if odd.all() else "pre (odd numbers)"
    held = _listed(ids)
    problem = f"the target polarity takes pre and post sides, and there is no {missing}: {held}."
    return [Fault(where, problem, f"Labels are 2n-1 on the pre and 2n on the post side. {MASK}")]


def _label_doubts(survey: LabelSurvey, *, sided: bool) -> Iterator[Fault]:
    """What may be meant, and often is not."""
    if said := said_of_marks(survey):
        remedy = "If that is not what it means: write 0 for background."
        yield Fault(survey.source, f"{said}.", remedy)
    for problem, remedy in _doubts(survey, sided=sided):
        yield Fault(survey.source, problem, remedy)


def said_of_marks(survey: LabelSurvey) -> str:
    """What is worth saying: nothing of a cleft 0 beside CREMI's own mark, if it is one of many."""
    zero = int(survey.voxels[survey.ids == survey.marks.zero].sum())
    usual = survey.marks.background in (None, CREMI_BACKGROUND)
    return "" if usual and 2 * zero <= survey.voxels.sum() else str(survey.marks)


def _doubts(survey: LabelSurvey, *, sided: bool) -> Iterator[tuple[str, str]]:
    count, size = survey.ids.size, survey.labels.size
    if not count:
        looked = (
            "" if survey.whole else f" of the {len(survey.labels)} sections that were looked at"
        )
        yield f"no voxel{looked} is labelled.", "Check that it is the right file."
        return
    if HALF <= survey.filled < FULL:
        problem = f"{survey.filled:.0%} of it is labelled; synapses are about one per cent."
        yield problem, f"Is it the label of the synapses? {SWAPPED}"
    if count > CROWDED and size < CROWDED * count:
        problem = f"holds {count:,} objects in {size:,} voxels, a thousand times what tissue has."
        yield problem, "Is it the label of the synapses, and is it an id per synapse?"
    if not sided:
        return
    numbers = (survey.ids + survey.ids % 2) // 2
    synapses, sides = np.unique(numbers, return_counts=True)
    whole = int(np.count_nonzero(sides == 2))
    if whole < HALF * synapses.size:
        problem = f"of {synapses.size} synapses {whole} have both sides: {_listed(survey.ids)}."
        yield problem, f"Labels are 2n-1 on the pre and 2n on the post side. {MASK}"
    elif survey.filled < HALF and likely_encoding(survey.labels) == "instance":
        problem = "labels 2n-1 and 2n mostly lie apart, as if each number were an object."
        yield problem, f"The target polarity takes 2n-1 for pre and 2n for post. {MASK}"


def _image_doubts(image: Volume) -> Iterator[Fault]:
    values = sample(image).values
    found = np.unique(values.reshape(-1)[:: max(1, values.size // 2**20)])
    source = image.source
    if found.size <= FEW_GREY_VALUES:
        yield Fault(source, f"the image holds nothing but {_listed(found)}.", SWAPPED)
    elif (even := evenness(values, _commonest(values))) > FULL:
        problem = f"{even:.0%} of the voxels of the image equal the next one in x, as in labels."
        yield Fault(source, problem, SWAPPED)


def _commonest(values: np.ndarray) -> float:
    """The value of what is empty, if anything is."""
    found, counts = np.unique(
        values.reshape(-1)[:: max(1, values.size // 2**20)], return_counts=True
    )
    return found[np.argmax(counts)]


def _listed(values: np.ndarray, at_most: int = 5) -> str:
    shown = ", ".join(f"{value:g}" for value in values[:at_most].tolist())
    return f"{shown}, …" if values.size > at_most else shown


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
    if not config.decoding.steps:
        return []
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
