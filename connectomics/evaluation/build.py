"""From the `evaluation` section and label volumes to a report."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from connectomics.errors import DataError, Fault, did_you_mean
from connectomics.evaluation.counts import Score, pool
from connectomics.evaluation.encoding import SIDED, Encoding
from connectomics.evaluation.metric import GIVEN
from connectomics.evaluation.metrics import METRICS
from connectomics.evaluation.sites import Sites
from connectomics.evaluation.summary import EvaluationReport, VolumeScores
from connectomics.evaluation.sweep import ThresholdSweep
from connectomics.evaluation.volumes import Labels
from connectomics.legal import illegal_settings
from connectomics.neuroglancer.link import check_viewer

if TYPE_CHECKING:
    from connectomics.config.schema import ScoringSection

RESOLUTION_REMEDY = (
    "Set data.test.resolution to [z, y, x] in nm; for two files without a config, resolution=[...]."
)

_BORDER_NOTE = "what the border or unlabelled voxels cut may match and counts for nothing"


class LabelPair(NamedTuple):
    """A truth and a prediction of the same voxels: arrays, or volumes that are read by box.

    Attributes:
        name: For the report.
        truth: (Z, Y, X) labels.
        prediction: (Z, Y, X) labels.
        prediction_encoding: How the prediction is stored.
        resolution: nm per voxel (z, y, x), which the distance metrics need.
        mask: (Z, Y, X), 0 where voxels are unlabelled.
        confidence: Of each predicted synapse by its number.
        truth_sites: Where the true synapses are, which `SITE_METRICS` need.
        prediction_sites: Where the predicted ones are.
        notes: What a reader must know about this volume, such as that it is synthetic.
        truth_encoding: How the truth is stored, where that is known of this volume; else it is
            as the section says.
    """

    name: str
    truth: Labels
    prediction: Labels
    prediction_encoding: Encoding = "auto"
    resolution: tuple[float, float, float] | None = None
    mask: Labels | None = None
    confidence: dict[int, float] | None = None
    truth_sites: Sites | None = None
    prediction_sites: Sites | None = None
    notes: tuple[str, ...] = ()
    truth_encoding: Encoding = "auto"


def default_metrics(
    prediction_encoding: Encoding, truth_encoding: Encoding = "auto"
) -> tuple[str, ...]:
    """The metrics where the section names none.

    >>> default_metrics("polarity"), default_metrics("polarity", "instance")
    (('polarity',), ('jaccard', 'detection'))
    """
    sided = {prediction_encoding, truth_encoding} <= {*SIDED, "auto"}
    return ("polarity",) if sided else ("jaccard", "detection")


def check_evaluation(
    section: ScoringSection, *, prediction_encoding: Encoding = "auto"
) -> list[Fault]:
    """Find what cannot work in the `evaluation` section.

    Args:
        section: The section.
        prediction_encoding: What decoding will produce, where it is known.

    Returns:
        A fault for each unknown metric, metric or threshold named twice, unknown or unfit
        kwarg, and metric that needs sides where the labels have none; and for a viewer whose
        address shows nothing.
    """
    faults = check_viewer(section.viewer, "evaluation.viewer")
    for i, threshold in enumerate(section.iou_thresholds):
        if threshold in section.iou_thresholds[:i]:
            problem = f"{threshold:g} is named twice."
            faults.append(Fault(f"evaluation.iou_thresholds[{i}]", problem, "Keep one of them."))
    for i, metric in enumerate(section.metrics):
        where = f"evaluation.metrics[{i}]"
        if metric.name not in METRICS:
            problem = f"there is no metric {metric.name!r}."
            faults.append(Fault(f"{where}.name", problem, did_you_mean(metric.name, METRICS)))
            continue
        if metric.name in [other.name for other in section.metrics[:i]]:
            faults.append(Fault(where, f"{metric.name} is named twice.", "Keep one of them."))
        faults += _check_kwargs(f"{where}.kwargs", metric.name, metric.kwargs)
        faults += _check_sides(where, metric.name, section.truth_encoding, prediction_encoding)
    return faults


def _check_kwargs(where: str, name: str, kwargs: dict[str, Any]) -> list[Fault]:
    from connectomics.config.signatures import check_kwargs

    faults = check_kwargs(where, METRICS[name].function, kwargs, skip=GIVEN, called=name)
    return faults or illegal_settings(METRICS[name].function, kwargs, where)


def _check_sides(
    where: str, name: str, truth_encoding: Encoding, prediction_encoding: Encoding
) -> list[Fault]:
    remedy = "Use the metrics 'detection' and 'jaccard' for labels without sides."
    faults = []
    if METRICS[name].sided_truth and truth_encoding not in (*SIDED, "auto"):
        problem = f"{name} needs pre and post sides, and truth_encoding is {truth_encoding!r}."
        faults.append(Fault(where, problem, remedy, ("evaluation.truth_encoding",)))
    if METRICS[name].sided_prediction and prediction_encoding not in (*SIDED, "auto"):
        problem = (
            f"{name} needs pre and post sides, and the prediction has {prediction_encoding} labels."
        )
        faults.append(Fault(where, problem, remedy, ("decoding.steps",)))
    return faults


def evaluate_volumes(volumes: Iterable[LabelPair], section: ScoringSection) -> EvaluationReport:
    """Score every volume with every metric, and all volumes together.

    Args:
        volumes: One at a time is held in memory, so a generator may read them as it goes.
        section: Which metrics, at which thresholds, how the truth is stored.

    Raises:
        DataError: Labels that do not fit, with the volume's name; or no volume.
    """
    scored = tuple(_evaluate(volume, section) for volume in volumes)
    if not scored:
        raise DataError("evaluation", "there is no volume to score.", "Give at least one.")
    metrics = dict.fromkeys(metric for volume in scored for metric in volume.scores)
    pooled = {m: pool([v.scores[m] for v in scored if m in v.scores]) for m in metrics}
    settings = {
        "iou_thresholds": list(section.iou_thresholds),
        "truth_encoding": section.truth_encoding,
        "ignore_border": section.ignore_border,
        "metrics": {metric.name: dict(metric.kwargs) for metric in section.metrics},
    }
    return EvaluationReport(scored, pooled, settings)


def _evaluate(volume: LabelPair, section: ScoringSection) -> VolumeScores:
    chosen = {metric.name: metric.kwargs for metric in section.metrics}
    known = volume.truth_encoding
    truth_encoding = section.truth_encoding if known == "auto" else known
    usual = default_metrics(volume.prediction_encoding, truth_encoding)
    chosen = chosen or {name: {} for name in usual}
    given = {
        **volume._asdict(),
        "truth_encoding": truth_encoding,
        "iou_thresholds": section.iou_thresholds,
        "ignore_border": section.ignore_border,
    }
    faults = [
        fault
        for name in chosen
        for fault in _check_sides(name, name, truth_encoding, volume.prediction_encoding)
    ]
    if faults:
        raise DataError.of(
            Fault(f"{volume.name}: {fault.where}", fault.problem, fault.remedy) for fault in faults
        )
    try:
        scores = {name: _score(name, given, kwargs) for name, kwargs in chosen.items()}
    except DataError as error:
        raise DataError.of(
            Fault(f"{volume.name}: {fault.where}", fault.problem, fault.remedy)
            for fault in error.faults
        ) from error
    matched = any(isinstance(score, ThresholdSweep) for score in scores.values())
    notes = (_BORDER_NOTE,) if section.ignore_border and matched else ()
    return VolumeScores(volume.name, scores, (*volume.notes, *notes))


def _score(name: str, given: dict[str, Any], kwargs: dict[str, Any]) -> Score:
    metric = METRICS[name]
    if "resolution" in metric.given and given["resolution"] is None:
        raise DataError(
            f"evaluation: {name}",
            "the voxel size is not known.",
            RESOLUTION_REMEDY,
        )
    if metric.of_sites and None in (given["truth_sites"], given["prediction_sites"]):
        raise DataError(
            f"evaluation: {name}",
            "where the synapses are is not known.",
            f"It takes labels with pre and post sides and the voxel size. {RESOLUTION_REMEDY}",
        )
    return metric.function(**{key: given[key] for key in metric.given}, **kwargs)
