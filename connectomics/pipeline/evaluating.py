"""The test volumes of a run, with the labels to score: made from just these, or made anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from connectomics.config import Config
from connectomics.config.schema import ScoringSection
from connectomics.data.alignment import require_alignment
from connectomics.data.build import open_split
from connectomics.data.cache_key import CacheKey, key_of, reading_result
from connectomics.data.io import open_volume
from connectomics.data.volumes import LabelledVolume
from connectomics.decoding import read_table
from connectomics.evaluation import EvaluationReport, LabelPair
from connectomics.evaluation.encoding import SIDED
from connectomics.evaluation.volumes import read
from connectomics.pipeline.label_volumes import open_labels
from connectomics.pipeline.labelling import ensure_labels
from connectomics.pipeline.predicted import PREDICTED_WITH
from connectomics.pipeline.predictor import configured_parts
from connectomics.pipeline.result_folders import ask, existing_results, require_made_with
from connectomics.pipeline.results import VolumeResults
from connectomics.pipeline.scoring import confidences, read_pair, stored_as
from connectomics.runs import Provenance, RunFolder

if TYPE_CHECKING:
    from connectomics.report.gallery import Scene


class Labelled(NamedTuple):
    """A volume with its labels, and what has to be said of them."""

    volume: LabelledVolume
    results: VolumeResults
    notes: tuple[str, ...] = ()


def with_labels(
    config: Config, run: RunFolder, checkpoint: Path | None, provenance: Provenance
) -> list[Labelled]:
    """Find the test volumes of a run with the labels that a config asks for.

    Args:
        config: Of the stage.
        run: Whose results they are.
        checkpoint: The network they have to come from, if one is named.
        provenance: How labels come about that have to be made anew.

    Raises:
        DataError: There are none of a volume, or they are of something else.
    """
    split = config.data.test
    volumes = open_split(split, "data.test")
    found = existing_results(run.results, [ask(one, split) for one in volumes], all_of_them=True)
    labelled = []
    for volume, (asked, results) in zip(volumes, found, strict=True):
        require_made_with(results.first, checkpoint)
        doubt = ensure_labels(asked, results, config, provenance)
        notes = tuple(filter(None, (doubt, other_settings(config, results))))
        labelled.append(Labelled(replace(volume, name=results.folder.name), results, notes))
    return labelled


def other_settings(config: Config, results: VolumeResults) -> str:
    """Say where probabilities were predicted with other settings than a config now has."""
    path, mode = results.probabilities, "infer"
    key, now = key_of(path), CacheKey(configured_parts(config))
    known = key.parts if key else {}
    if key is None and results.labels.exists():  # they were not kept
        path, mode = results.labels, "test"
        with reading_result(path, "decode"), open_volume(path) as labels:
            known = labels.attributes.get(PREDICTED_WITH, {})
    before = CacheKey({name: part for name, part in known.items() if name in now.parts})
    if not before.parts or not (otherwise := before.otherwise(now)):
        return ""
    return f"{path} {otherwise}; --mode {mode} makes it anew."


def label_pairs(
    volumes: list[Labelled], seen: list[str], section: ScoringSection
) -> Iterator[LabelPair]:
    """Truth and prediction, one volume at a time, with what has to be said of them."""
    for (volume, results, notes), note in zip_longest(volumes, seen):
        with reading_result(results.labels, "decode"), open_volume(results.labels) as labels:
            require_alignment(volume.image, labels)
            table = read_table(results.table) if results.table.is_file() else None
            stored = stored_as(labels)
            pair = read_pair(volume, labels, section, encoding=stored.encoding, table=table)
            guess = (stored.note("prediction", labels),) if stored.guessed else ()
            said = filter(None, (note, *notes, *guess, *pair.notes))
            yield pair._replace(notes=tuple(said))


def scored_scenes(
    volumes: list[Labelled], report: EvaluationReport, section: ScoringSection
) -> Iterator[Scene]:
    """Show what became of each synapse, one volume at a time in memory."""
    from connectomics.report import scored_scene

    dilate_sz = {metric.name: metric.kwargs.get("dilate_sz") for metric in section.metrics}
    pairs = label_pairs(volumes, [], section)
    for one, pair, scores in zip(volumes, pairs, report.volumes, strict=True):
        image = one.volume.image
        yield scored_scene(one.volume, pair, scores, image=image, dilate_sz=dilate_sz)


def found_scenes(volumes: list[Labelled]) -> Iterator[Scene]:
    """Show what was found where there is no truth, one volume at a time in memory."""
    from connectomics.report import Found, found_scene

    for volume, results, _ in volumes:
        with reading_result(results.labels, "decode"), open_volume(results.labels) as labels:
            encoding = stored_as(labels).encoding
            found = Found(open_labels(labels)[0], encoding)
            if results.table.is_file():
                found = found._replace(confidence=confidences(read_table(results.table)))
            yield found_scene(volume, found, image=volume.image)


def draw(one: Labelled, path: Path) -> None:
    """Write the picture of EM, truth and prediction of one volume."""
    from connectomics.report import busiest_view, comparison_figure, section_title

    volume, results = one.volume, one.results
    with reading_result(results.labels, "decode"), open_volume(results.labels) as labels:
        sides = stored_as(labels).encoding in SIDED
        panels = {"prediction": open_labels(labels)[0]}
        if volume.label is not None:
            panels = {"truth": open_labels(volume.label)[0], **panels}
        box = busiest_view(*panels.values())
        shown = {name: read(labels, box)[0] for name, labels in panels.items()}
    comparison_figure(
        path,
        shown,
        volume.image.read(box)[0],
        title=section_title(
            volume.name, box.start[0], volume.origin[0], synthetic=volume.synthetic
        ),
        sides=sides,
        nm_per_pixel=volume.resolution[2] if volume.resolution else None,
    )
