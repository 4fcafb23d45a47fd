"""From label volumes on disk to pairs that can be scored, and from their scores to files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, get_args

import numpy as np

from connectomics.config.schema import ScoringSection
from connectomics.data.annotations import read_annotations
from connectomics.data.counting import nothing_counts, read_label
from connectomics.data.io import LazyVolume
from connectomics.data.processing import clean_label, clean_neurons
from connectomics.data.volumes import LabelledVolume, Volume
from connectomics.decoding import list_synapses
from connectomics.errors import DataError
from connectomics.evaluation import (
    SITE_METRICS,
    Encoding,
    EvaluationReport,
    LabelPair,
    Sites,
    interpret,
    likely_encoding,
    write_report,
)
from connectomics.evaluation.encoding import SIDED
from connectomics.geometry import nm_to_voxel
from connectomics.keeping import replacing
from connectomics.pipeline.results import CURVES, SCORES

if TYPE_CHECKING:
    import pandas as pd

ENCODINGS: dict[str, Encoding] = {name: name for name in get_args(Encoding) if name != "auto"}


def read_pair(
    volume: LabelledVolume,
    prediction: LazyVolume,
    section: ScoringSection,
    *,
    encoding: Encoding,
    table: pd.DataFrame | None = None,
) -> LabelPair:
    """Read truth and prediction of one volume, and what else the metrics compare.

    Args:
        volume: With its label.
        prediction: Labels of the same voxels.
        section: The metrics, and how the truth is stored.
        encoding: How the prediction is stored.
        table: The synapse table of the prediction, for confidences and sites; without it, there
            are no confidences, and sites are found in the labels.

    Raises:
        DataError: A file cannot be read, or does not hold labels.
    """
    truth, mask = read_truth(volume)
    assert volume.label is not None
    stored = stored_as(volume.label, section.truth_encoding, truth)
    known = section.truth_encoding != "auto" or stored.encoding == "auto"
    found = clean_label(prediction.read(), prediction.source).label
    pair = LabelPair(
        volume.name,
        truth,
        found,
        prediction_encoding=encoding,
        resolution=volume.resolution,
        truth_encoding=stored.encoding,
        mask=mask,
        confidence=None if table is None else confidences(table),
        notes=(
            *_notes(volume, truth, mask),
            *(() if known else (stored.note("truth", volume.label),)),
            *_overlap_doubts(truth, found),
        ),
    )
    compares_sites = any(metric.name in SITE_METRICS for metric in section.metrics)
    if volume.resolution is None or not compares_sites:
        return pair
    return _with_sites(pair, volume, stored.encoding, table)


def confidences(table: pd.DataFrame) -> dict[int, float] | None:
    """The confidence of each synapse by its number; None where none has one.

    Raises:
        DataError: Some have one and others not, or one is infinite.
    """
    values, ids = np.asarray(table["confidence"], float), np.asarray(table["synapse_id"])
    if np.isnan(values).all():
        return None
    for synapse in ids[~np.isfinite(values)][:1].tolist():
        problem = f"the confidence of synapse {synapse} is {values[ids == synapse][0]:g}."
        raise DataError("the synapse table", problem, "Give one for every synapse, or for none.")
    return dict(zip(ids.tolist(), values.tolist(), strict=True))


class Stored(NamedTuple):
    """How the labels of a file are stored, and whether that was told from the labels alone."""

    encoding: Encoding
    guessed: bool = False

    def note(self, name: str, volume: Volume) -> str:
        """Which file it was, and as what it was read."""
        source = volume.source
        if self.encoding == "auto":
            return f"{name} is {source}."
        key = f"{name}_encoding=..."
        guess = f", going by their values (if they are others: {key})" if self.guessed else ""
        return f"{name} is {source}, read as {self.encoding} labels{guess}."


def stored_as(volume: Volume, given: Encoding = "auto", labels: np.ndarray | None = None) -> Stored:
    """How labels are stored: as the user says, else as the file says, else as they look.

    Args:
        volume: The labels.
        given: What the user says; `auto` for nothing.
        labels: What the volume holds, where it has been read.

    Raises:
        DataError: It cannot be read, or does not hold labels.
    """
    stated = volume.attributes.get("encoding") if isinstance(volume, LazyVolume) else None
    if given != "auto":
        return Stored(given)
    if isinstance(stated, str) and stated in ENCODINGS:
        return Stored(ENCODINGS[stated])
    if labels is None:
        labels = clean_label(volume.read(), volume.source).label
    return Stored(likely_encoding(labels), guessed=True)


def write_scores(
    report: EvaluationReport,
    folder: Path,
    *,
    synthetic: bool = False,
    pictures: Mapping[Path, Callable[[Path], object]] | None = None,
    about: Mapping[Path, str] | None = None,
) -> list[Path]:
    """Write a report, and a picture of precision and recall where there is confidence.

    What stood there goes to `earlier/`; where all is as it was, it stays.

    Args:
        report: The scores.
        folder: Where to.
        synthetic: Whether there is synthetic EM among it, which the picture has to say.
        pictures: What draws further pictures, by their places below the folder.
        about: Texts that say how the scores were made, by their places.

    Returns:
        The files written.
    """
    curves, pictures = report.curves, pictures or {}
    scores = [folder / name for name in (*SCORES, *(CURVES if curves else ()))]
    paths, stale = [*scores, *pictures], [folder / name for name in CURVES]
    with replacing(*paths, stale=stale, about=about) as new:
        write_report(report, new[0].parent)
        for path, draw in zip(new[len(scores) :], pictures.values(), strict=True):
            draw(path)
        if curves:
            from connectomics.report import precision_recall_figure

            name, shown = list(curves.items())[-1]
            title = f"polarity, {name}{' (synthetic EM)' if synthetic else ''}"
            precision_recall_figure(new[len(scores) - 1], shown, title=title)
    return paths


def read_truth(volume: LabelledVolume) -> tuple[np.ndarray, np.ndarray | None]:
    """Read the label of a volume, and where scores count.

    Returns:
        (Z, Y, X) labels, and a mask of the same shape: inside the volume's mask, and where its
        label is not invalid. None where everything counts.

    Raises:
        DataError: The label cannot be read or holds no labels, or nothing counts.
    """
    assert volume.label is not None
    truth, mask = read_label(volume)
    if mask is not None and not mask.any():
        raise DataError.of([nothing_counts(volume.label.source, [volume])])
    return truth, mask


def _notes(volume: LabelledVolume, truth: np.ndarray, mask: np.ndarray | None) -> Iterator[str]:
    if volume.synthetic:
        yield "synthetic EM, not real tissue"
    if mask is not None and not mask.all():
        left_out = 1 - np.count_nonzero(mask) / mask.size
        yield f"{left_out:.2%} of the voxels are unlabelled and were left out first."
    if not (truth if mask is None else truth * mask).any():
        yield "the truth holds no labels where scores count: nothing can be found, only invented."


def _overlap_doubts(truth: np.ndarray, found: np.ndarray) -> Iterator[str]:
    if truth.any() and found.any() and not np.logical_and(truth, found).any():
        yield (
            "no labelled voxel of the prediction is one of the truth: do they show the same "
            "tissue, with the axes in the same order?"
        )


def _with_sites(
    pair: LabelPair,
    volume: LabelledVolume,
    truth_encoding: Encoding,
    table: pd.DataFrame | None,
) -> LabelPair:
    """A pair with the sites of both sides that lie where scores count."""
    part = volume.neurons
    neurons = None if part is None else clean_neurons(part.read(), part.source)
    if volume.annotations is None:
        true = _listed_sites(volume, pair.truth, truth_encoding, neurons)
    else:
        true = annotated_sites(volume, volume.annotations, neurons)
    if table is None:
        found = _listed_sites(volume, pair.prediction, pair.prediction_encoding, neurons)
    else:
        found = _table_sites(table)
    return pair._replace(
        truth_sites=_inside(true, volume, pair.mask),
        prediction_sites=_inside(found, volume, pair.mask),
    )


def _listed_sites(
    volume: LabelledVolume, labels: np.ndarray, encoding: Encoding, neurons: np.ndarray | None
) -> Sites | None:
    """The sites of labels with sides; None of others."""
    read = interpret("labels", labels, encoding, sided=True)
    if read.encoding not in SIDED:
        return None
    assert volume.resolution is not None
    listed = list_synapses(
        read.labels, resolution=volume.resolution, offset_nm=volume.offset_nm, neurons=neurons
    )
    return _table_sites(listed.table)


def _table_sites(table: pd.DataFrame) -> Sites:
    points = [
        np.stack([np.asarray(table[f"{site}_{axis}_nm"], float) for axis in "zyx"], axis=1)
        for site in ("pre", "post", "centre")
    ]
    ids = [np.asarray(table[f"{side}_neuron"].fillna(0), np.uint64) for side in ("pre", "post")]
    return Sites(*points, neurons=np.stack(ids, axis=1))


def annotated_sites(volume: LabelledVolume, file: str, neurons: np.ndarray | None) -> Sites:
    """The sites of annotations, each in the neuron that it lies in."""
    pre, post = read_annotations(file)
    ids = np.zeros((len(pre), 2), np.uint64)
    if neurons is not None:
        for side, points in enumerate((pre, post)):
            voxel, inside = _voxels(points, volume)
            ids[inside, side] = neurons[tuple(voxel[inside].T)]
    return Sites(pre, post, (pre + post) / 2, ids)


def _inside(sites: Sites | None, volume: LabelledVolume, mask: np.ndarray | None) -> Sites | None:
    """The synapses whose centre lies in the volume, where scores count."""
    if sites is None:
        return None
    voxel, kept = _voxels(sites.centre_nm, volume)
    if mask is not None:
        kept[kept] = mask[tuple(voxel[kept].T)]
    return sites.selected(kept)


def _voxels(points_nm: np.ndarray, volume: LabelledVolume) -> tuple[np.ndarray, np.ndarray]:
    """(n, 3) the voxel of each point, and (n,) bool, whether it is in the volume."""
    assert volume.resolution is not None
    # The nearest, as CREMI's own scores take it: voxel i lies at i · nm, and halves go to even.
    voxel = np.rint(nm_to_voxel(points_nm, volume.resolution, volume.offset_nm))
    inside = np.asarray(((voxel >= 0) & (voxel < volume.shape)).all(axis=1))
    return voxel.astype(np.int64), inside
