"""`--mode evaluate` on files made anywhere, without a config: two label volumes → scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from connectomics.config.schema.files import EvaluateFiles
from connectomics.data.annotations import annotation_faults
from connectomics.data.cache_key import CacheKey, key_of
from connectomics.data.identity import identify
from connectomics.data.io import LazyVolume
from connectomics.data.io.header import size_text
from connectomics.data.io.location import parse_location
from connectomics.data.survey import survey_labels
from connectomics.data.volumes import LabelledVolume
from connectomics.decoding import read_table
from connectomics.digests import code_digest, file_digest
from connectomics.errors import ConfigError, DataError, Fault, naming
from connectomics.evaluation import (
    NEURON_METRICS,
    SITE_METRICS,
    TABLE_METRICS,
    Encoding,
    EvaluationReport,
    LabelPair,
    Labels,
    check_evaluation,
    default_metrics,
    evaluate_volumes,
    list_extents,
)
from connectomics.evaluation.encoding import SIDED
from connectomics.geometry import VoxelGrid
from connectomics.pipeline.label_checks import label_faults, said_of_marks
from connectomics.pipeline.on_files.opening import open_files
from connectomics.pipeline.results import PAGE
from connectomics.pipeline.scores import CODE, write_scores
from connectomics.scoring.pairs import confidences, read_pair, stored_as

OF_RUNS = ("provenance.yaml", "config.yaml")
"""What the scores of a run say of how they came about; others are not of that config."""


def evaluate(section: EvaluateFiles) -> None:
    """Score one label volume against another, print the scores, and keep them if asked to."""
    faults = annotation_faults(section.annotations) if section.annotations else []
    faults += _table_faults(section.table) if section.table else []
    volumes = open_files(section, ("truth", "prediction", "image", "mask", "neurons"), faults)
    truth, prediction = volumes["truth"], volumes["prediction"]
    true = stored_as(truth, section.truth_encoding)
    found = stored_as(prediction, section.prediction_encoding)
    section = section.model_copy(update={"truth_encoding": true.encoding})
    _require_metrics(section, found.encoding)
    volume = _with_truth(volumes, section.annotations)
    table = read_table(section.table) if section.table else None
    pair = read_pair(volume, prediction, section, encoding=found.encoding, table=table)
    if pair.confidence and found.encoding == "polarity":
        _require_same_synapses(section, pair.prediction, pair.confidence)
    notes = (
        true.note("truth", truth),
        found.note("prediction", prediction),
        *pair.notes,
        *_doubts(truth=truth, prediction=prediction),
        *_disagreements(truth, prediction),
        *_other_images(volumes),
        *_why_no_polarity(section, true.encoding, found.encoding),
    )
    report = evaluate_volumes([pair._replace(notes=notes)], section)
    files = ("truth", "prediction", "image", "mask", "table", "neurons", "annotations")
    named = {name: getattr(section, name) for name in files if getattr(section, name)}
    read = {"resolution": volume.resolution, "prediction_encoding": found.encoding}
    key = _made_from(volumes, section, {**report.settings, **read})
    report = replace(report, settings={**named, **report.settings, **read})
    print(report.table())
    if section.output is None:
        print("evaluate: nothing is written; output=FOLDER keeps the scores")
        return
    shown, folder = Shown(volume, volumes.get("image")), Path(section.output)
    written = write_scores(
        report,
        folder,
        key=key,
        synthetic=volume.synthetic,
        pictures={folder / PAGE: partial(_write_page, section, shown, pair, report)},
        stale=[folder / name for name in OF_RUNS] if (folder / OF_RUNS[0]).is_file() else [],
    )
    *others, page = written
    print("evaluate: " + "\n          ".join(map(str, others)))
    print(f"evaluate: to look at, in a browser: {page}")


def _made_from(
    volumes: Mapping[str, LazyVolume], section: EvaluateFiles, settings: Mapping[str, Any]
) -> CacheKey:
    """What scores depend on: what the files hold, whatever they are called, settings and code."""
    compared = {name: volume for name, volume in volumes.items() if name != "image"}
    tables = {name: getattr(section, name) for name in ("table", "annotations")}
    return CacheKey(
        {
            **{name: identify(volume).content for name, volume in compared.items()},
            **{name: file_digest(Path(file)) for name, file in tables.items() if file},
            "settings": dict(settings),
            "version of the code": code_digest(*CODE),
        }
    )


def _with_truth(volumes: Mapping[str, LazyVolume], annotations: str | None) -> LabelledVolume:
    """The volume that truth and prediction are of, placed as either of them says."""
    truth, prediction = volumes["truth"], volumes["prediction"]
    offset_nm = (truth if truth.placed else prediction).offset_nm
    grid = VoxelGrid(truth.resolution or prediction.resolution, offset_nm)
    return LabelledVolume(
        prediction.name,
        image=truth.with_grid(grid),
        label=truth,
        mask=volumes.get("mask"),
        neurons=volumes.get("neurons"),
        annotations=annotations,
        synthetic=bool(truth.attributes.get("synthetic", False)),
    )


class Shown(NamedTuple):
    """A volume and its EM, where that is given."""

    volume: LabelledVolume
    image: LazyVolume | None


def _write_page(
    section: EvaluateFiles, shown: Shown, pair: LabelPair, report: EvaluationReport, path: Path
) -> None:
    from connectomics.report import Background, scored_scene, write_page

    dilate_sz = {metric.name: metric.kwargs.get("dilate_sz") for metric in section.metrics}
    (scores,) = report.volumes
    scene = scored_scene(shown.volume, pair, scores, image=shown.image, dilate_sz=dilate_sz)
    title = f"{section.prediction} against {section.truth}"
    write_page(path, [scene], report, Background(title, viewer=section.viewer))


def evaluate_faults(section: EvaluateFiles) -> Iterator[Fault]:
    """What the schema cannot know of settings: metrics, and what is read for them alone."""
    named = {metric.name: None for metric in section.metrics}
    for name in named if not section.neurons else ():
        if name in NEURON_METRICS:
            remedy = "Add neurons=FILE, a segmentation of the same tissue."
            yield Fault("neurons", f"not given, and {name} compares neurons.", remedy)
    encoding = section.prediction_encoding
    for fault in check_evaluation(section, prediction_encoding=encoding):
        yield replace(fault, where=fault.where.removeprefix("evaluation."))
    readers = {
        "neurons": NEURON_METRICS,
        "annotations": SITE_METRICS,
        "table": TABLE_METRICS,
    }
    for key, metrics in readers.items():
        if getattr(section, key) and named.keys().isdisjoint(metrics) and (named or key != "table"):
            remedy = f"Take it out, or add metrics=[{','.join(metrics)}]."
            yield Fault(key, f"is read only for {', '.join(metrics)}.", remedy)


def _doubts(**volumes: LazyVolume) -> Iterator[str]:
    """What labels hold that can hardly be meant, and what is read as background in them."""
    for name, volume in volumes.items():
        survey = survey_labels(volume)
        for fault in label_faults(survey):
            yield f"{name}: {fault.problem}"
        if said := said_of_marks(survey):
            yield f"{name}: {said}."


def _disagreements(truth: LazyVolume, prediction: LazyVolume) -> Iterator[str]:
    """What truth and prediction say of themselves that does not go together."""
    if _place(truth) == _place(prediction):
        yield "truth and prediction are the same volume."
    for known, other in ((truth, prediction), (prediction, truth)):
        if known.placed and any(known.offset_nm) and not other.placed:
            yield (
                f"{known.source} says that it begins at {size_text(known.offset_nm)} nm (z, y, x), "
                f"{other.source} does not say: they were laid over one another voxel by voxel."
            )


def _other_images(volumes: Mapping[str, LazyVolume]) -> Iterator[str]:
    """Where labels say that they were made from another image than the one they are shown on."""
    made_from = {
        name: key.image
        for name in ("truth", "prediction")
        if (key := key_of(parse_location(volumes[name].source).path)) and key.image
    }
    for name, known in made_from.items():
        if (image := volumes.get("image")) is not None:
            now = identify(image, known)
            if now.content != known.content:
                yield f"{name} is of {known.difference(now)}, and image={image.source} is not."
    if len({known.content for known in made_from.values()}) > 1:
        described = " and ".join(known.describe() for known in made_from.values())
        yield f"truth and prediction were made from two volumes: {described}."


def _place(volume: LazyVolume) -> tuple[Path, str]:
    return parse_location(volume.source).path.resolve(), volume.dataset.strip("/")


def _why_no_polarity(section: EvaluateFiles, *encodings: Encoding) -> Iterator[str]:
    """Where one volume has sides and the other has not, and nobody asked for what is scored."""
    sided = [encoding in SIDED for encoding in encodings]
    if not section.metrics and any(sided) and "polarity" not in default_metrics(*encodings):
        name = "prediction" if sided[0] else "truth"
        yield f"there are no scores of polarity: {name} has no pre and post sides."


def _table_faults(table: str) -> list[Fault]:
    try:
        rows = read_table(table)
        with naming(table):
            known = confidences(rows)
    except DataError as error:
        return list(error.faults)
    problem = "lists synapses without a confidence, as a table of ground truth does."
    return [] if known is not None else [Fault(table, problem, "Leave table=... out.")]


def _require_same_synapses(
    section: EvaluateFiles, prediction: Labels, listed: Mapping[int, float]
) -> None:
    """Make sure that a table is of these labels: numbered anew, it would rank others."""
    numbers = {(label + 1) // 2 for label in list_extents(prediction).ids.tolist()}
    for lists, holds, some in (
        ("lists", "does not hold", listed.keys() - numbers),
        ("lacks", "holds", numbers - listed.keys()),
    ):
        if some:
            raise DataError(
                str(section.table),
                f"{lists} {len(some)} synapse{'s' if len(some) > 1 else ''} that "
                f"{section.prediction} {holds}, such as number {min(some)}.",
                "Name the table that was made with these labels.",
            )


def _require_metrics(section: EvaluateFiles, prediction_encoding: Encoding) -> None:
    """Make sure that the metrics suit the labels, now that it is known what they are."""
    encodings = (prediction_encoding, section.truth_encoding)
    named = {metric.name for metric in section.metrics} or {*default_metrics(*encodings)}
    faults = [
        replace(fault, where=f"command line: {fault.where.removeprefix('evaluation.')}")
        for fault in check_evaluation(section, prediction_encoding=prediction_encoding)
    ]
    if section.table and named.isdisjoint(TABLE_METRICS):
        problem = f"confidences are read for polarity, and the metrics are {', '.join(named)}."
        faults.append(Fault("command line: table", problem, "Leave table=... out."))
    if faults:
        raise ConfigError.of(faults)
