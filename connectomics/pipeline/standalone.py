"""`--mode evaluate` and `--mode decode` on files made anywhere, without a config.

evaluate   two label volumes → scores
decode     one label volume → the table of its synapses, and exports
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from connectomics.config.file_settings import read_settings
from connectomics.config.schema import Section
from connectomics.config.schema.files import DecodeFiles, EvaluateFiles
from connectomics.data.annotations import annotation_faults
from connectomics.data.checks import open_on_one_grid
from connectomics.data.identity import identify
from connectomics.data.io import LazyVolume
from connectomics.data.io.header import size_text
from connectomics.data.io.location import parse_location
from connectomics.data.origin import Origin, origin_of
from connectomics.data.processing import clean_label
from connectomics.data.survey import survey_labels
from connectomics.data.volumes import LabelledVolume
from connectomics.decoding import Decoded, check_exports, list_synapses, read_table
from connectomics.errors import ConfigError, DataError, Fault, naming, warn
from connectomics.evaluation import (
    SITE_METRICS,
    TABLE_METRICS,
    Encoding,
    EvaluationReport,
    Interpretation,
    LabelPair,
    Labels,
    check_evaluation,
    default_metrics,
    evaluate_volumes,
    interpret,
    list_extents,
)
from connectomics.evaluation.encoding import SIDED
from connectomics.pipeline.label_checks import label_faults, said_of_marks
from connectomics.pipeline.label_files import write_decoded
from connectomics.pipeline.labelling import read_neurons
from connectomics.pipeline.results import PAGE, VolumeResults
from connectomics.pipeline.scoring import confidences, read_pair, stored_as, write_scores
from connectomics.process.fitting import Need, memory_of_machine, require_room


def evaluate(section: EvaluateFiles) -> None:
    """Score one label volume against another, print the scores, and keep them if asked to."""
    volumes = _open(section, ("truth", "prediction", "image", "mask", "neurons"))
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
    report = replace(report, settings={**named, **report.settings, **read})
    print(report.table())
    if section.output is None:
        print("evaluate: nothing is written; output=FOLDER keeps the scores")
        return
    shown = Shown(volume, volumes.get("image"))
    written = write_scores(
        report,
        Path(section.output),
        synthetic=volume.synthetic,
        pictures={Path(section.output) / PAGE: partial(_write_page, section, shown, pair, report)},
    )
    print("evaluate: " + "\n          ".join(map(str, written)))


def _with_truth(volumes: Mapping[str, LazyVolume], annotations: str | None) -> LabelledVolume:
    """The volume that truth and prediction are of, placed as either of them says."""
    truth, prediction = volumes["truth"], volumes["prediction"]
    return LabelledVolume(
        prediction.name,
        image=truth,
        label=truth,
        mask=volumes.get("mask"),
        neurons=volumes.get("neurons"),
        annotations=annotations,
        resolution=truth.resolution or prediction.resolution,
        offset_nm=(truth if truth.placed else prediction).offset_nm,
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


def decode(section: DecodeFiles) -> None:
    """List the synapses of a label volume, and write the exports asked for."""
    volumes = _open(section, ("labels", "neurons"))
    volume, results = volumes["labels"], VolumeResults(Path(section.output or ""))
    if volume.resolution is None:
        remedy = "Give it as resolution=[z,y,x] in nm, such as resolution=[30,8,8]."
        raise DataError(volume.source, "does not say its voxel size.", remedy)
    _require_room(volume)
    synapses = _synapses(volume, section.encoding)
    listed = list_synapses(
        synapses.array,
        resolution=volume.resolution,
        offset_nm=volume.offset_nm,
        neurons=read_neurons(volumes["neurons"]) if "neurons" in volumes else None,
    )
    grouped = bool(synapses.notes)
    is_input = results.labels.resolve() == Path(volume.source.partition("::")[0]).resolve()
    if grouped and is_input:
        problem = f"is where {volume.source} lies, and the grouped labels would take its place."
        raise DataError(f"output={section.output}", problem, "Choose another folder.")
    decoded = Decoded(synapses.array, *listed)
    for line in (*synapses.notes, *_summary(decoded)):
        print(f"decode: {line}")
    written = write_decoded(
        results,
        decoded,
        volume,
        about=_about_grouped(volume) if grouped else None,
        exports=section.exports,
        stale=[] if is_input or origin_of(results.labels) is None else [results.labels],
    )
    print("decode: " + "\n        ".join(map(str, written)))


def _require_room(volume: LazyVolume) -> None:
    """Refuse labels that memory cannot hold: their synapses are listed at once."""
    held = math.prod(volume.shape) * volume.dtype.itemsize
    remedy = "Cut it, and list the synapses of each part (connectomics.data.io.save_volume)."
    what = f"listing the synapses of {volume.source}"
    _, warning = require_room(Need(3 * held, held), memory_of_machine(), what, remedy)
    if warning:
        warn(volume.source, *warning.split(". ", 1))


def _about_grouped(volume: LazyVolume) -> dict[str, Any]:
    origin = Origin(volumes={"labels": identify(volume)})
    return {**origin.attributes(), "encoding": "polarity", "grouped_from": volume.source}


class FileMode(NamedTuple):
    """A mode that needs no config.

    Attributes:
        schema: Its settings.
        needs: Those that have to be given.
        example: How to give them.
        check: Finds in the settings what the schema cannot know.
        run: Does the work.
    """

    schema: type[Section]
    needs: tuple[str, ...]
    example: str
    check: Callable[[Any], Iterator[Fault]]
    run: Callable[[Any], None]


def read_file_settings(mode: str, overrides: Sequence[str], *, complete: bool = True) -> Section:
    """Read and check the settings of one of `FILE_MODES`.

    Args:
        mode: Its name.
        overrides: `key=value` texts.
        complete: Whether what it needs has to be there.

    Raises:
        ConfigError: Every fault there is.
    """
    chosen = FILE_MODES[mode]
    checks = [partial(_missing, chosen)] if complete else []
    return read_settings(chosen.schema, overrides, checks=[*checks, chosen.check])


def _missing(mode: FileMode, section: Any) -> Iterator[Fault]:
    missing = [name for name in mode.needs if getattr(section, name) is None]
    if missing:
        remedy = f"Such as: {mode.example}\n  Or name the config of a run: --config FILE"
        yield Fault(" and ".join(missing), "not given.", remedy)


def _evaluate_faults(section: EvaluateFiles) -> Iterator[Fault]:
    if any(metric.name == "cremi_partners" for metric in section.metrics) and not section.neurons:
        remedy = "Add neurons=FILE, a segmentation of the same tissue."
        yield Fault("neurons", "not given, and cremi_partners compares neurons.", remedy)
    encoding = section.prediction_encoding
    for fault in check_evaluation(section, prediction_encoding=encoding):
        yield replace(fault, where=fault.where.removeprefix("evaluation."))
    named = {metric.name for metric in section.metrics}
    readers = {
        "neurons": ("cremi_partners",),
        "annotations": SITE_METRICS,
        "table": TABLE_METRICS,
    }
    for key, metrics in readers.items():
        if getattr(section, key) and named.isdisjoint(metrics) and (named or key != "table"):
            remedy = f"Take it out, or add metrics=[{','.join(metrics)}]."
            yield Fault(key, f"is read only for {', '.join(metrics)}.", remedy)


def _decode_faults(section: DecodeFiles) -> Iterator[Fault]:
    yield from check_exports(section.exports, "exports")


FILE_MODES: dict[str, FileMode] = {
    "evaluate": FileMode(
        EvaluateFiles,
        ("truth", "prediction"),
        "python scripts/main.py --mode evaluate truth=truth.h5 prediction=labels.h5",
        _evaluate_faults,
        evaluate,
    ),
    "decode": FileMode(
        DecodeFiles,
        ("labels", "output"),
        "python scripts/main.py --mode decode labels=truth.h5 output=truth_table",
        _decode_faults,
        decode,
    ),
}


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
        name: origin.image
        for name in ("truth", "prediction")
        if (origin := origin_of(parse_location(volumes[name].source).path)) and origin.image
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


def _synapses(volume: LazyVolume, given: Encoding) -> Interpretation:
    """Give each synapse of labels with sides an identity."""
    labels = clean_label(volume.read(), volume.source).label
    stored = stored_as(volume, given, labels)
    read = interpret("label volume", labels, stored.encoding, sided=True)
    if read.encoding in SIDED:
        return read
    guess = ", going by their values" if stored.guessed else ""
    raise DataError(
        volume.source,
        f"holds {read.encoding} labels{guess}, and a table of synapses takes pre and post sides.",
        "If they are 2n-1 on the pre and 2n on the post side of synapse n, say encoding=polarity.",
    )


def _open(section: Any, names: Sequence[str]) -> dict[str, LazyVolume]:
    """Open the volumes that are given; every fault of every file at once."""
    files = {name: getattr(section, name) for name in names if getattr(section, name)}
    integers = [name for name in files if name not in ("mask", "image")]
    volumes, faults = open_on_one_grid(files, resolution=section.resolution, integers=integers)
    if isinstance(section, EvaluateFiles):
        faults += annotation_faults(section.annotations) if section.annotations else []
        faults += _table_faults(section.table) if section.table else []
    if section.output and Path(section.output).is_file():
        problem = "is a file, and what is written needs a folder."
        faults.append(Fault(f"output={section.output}", problem, "Choose another name."))
    if faults:
        raise DataError.of(faults)
    return volumes


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


def _summary(decoded: Decoded) -> Iterator[str]:
    assert decoded.table is not None
    sides = decoded.table["side"].value_counts().to_dict()
    counts = ", ".join(f"{count} {side}" for side, count in sides.items())
    yield f"{len(decoded.table)} synapses{f' ({counts})' if counts else ''}"
    if decoded.partners is not None:
        autapses = int(np.count_nonzero(decoded.partners["autapse"]))
        yield f"{autapses} with both sides in one neuron"
