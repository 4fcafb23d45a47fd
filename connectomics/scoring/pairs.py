"""From label volumes on disk to pairs that can be scored."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, get_args

import numpy as np

from connectomics.config.schema import ScoringSection
from connectomics.data.io import LazyVolume
from connectomics.data.volumes import LabelledVolume, Volume
from connectomics.errors import DataError
from connectomics.evaluation import (
    SITE_METRICS,
    Encoding,
    LabelPair,
    Labels,
    likely_encoding,
)
from connectomics.scoring.labels import (
    Truth,
    is_any_voxel,
    open_labels,
    open_neurons,
    open_truth,
)
from connectomics.scoring.sites import annotated_sites, inside, labelled_sites, table_sites

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
    """Truth and prediction of one volume, and what else the metrics compare.

    Small volumes are read. Large ones are read by box while they are scored: keep them open.

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
    truth = open_truth(volume)
    assert volume.label is not None
    stored = stored_as(volume.label, section.truth_encoding, truth.labels)
    known = section.truth_encoding != "auto" or stored.encoding == "auto"
    found, _ = open_labels(prediction)
    pair = LabelPair(
        volume.name,
        truth.labels,
        found,
        prediction_encoding=encoding,
        resolution=volume.resolution,
        truth_encoding=stored.encoding,
        mask=truth.mask,
        confidence=None if table is None else confidences(table),
        notes=(
            *_notes(volume, truth),
            *(() if known else (stored.note("truth", volume.label),)),
            *_overlap_doubts(truth.labels, found),
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


def stored_as(volume: Volume, given: Encoding = "auto", labels: Labels | None = None) -> Stored:
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
        labels, _ = open_labels(volume)
    return Stored(likely_encoding(labels), guessed=True)


def _notes(volume: LabelledVolume, truth: Truth) -> Iterator[str]:
    if volume.synthetic:
        yield "synthetic EM, not real tissue"
    size = math.prod(truth.labels.shape)
    if truth.counted < size:
        left_out = 1 - truth.counted / size
        yield f"{left_out:.2%} of the voxels are unlabelled and were left out first."
    counting = (truth.labels,) if truth.mask is None else (truth.labels, truth.mask)
    if not is_any_voxel(_all_of, *counting):
        yield "the truth holds no labels where scores count: nothing can be found, only invented."


def _overlap_doubts(truth: Labels, found: Labels) -> Iterator[str]:
    there = is_any_voxel(_all_of, truth) and is_any_voxel(_all_of, found)
    if there and not is_any_voxel(_all_of, truth, found):
        yield (
            "no labelled voxel of the prediction is one of the truth: do they show the same "
            "tissue, with the axes in the same order?"
        )


def _all_of(*labels: np.ndarray) -> np.ndarray:
    """Where all of some labels are labelled."""
    return labels[0] != 0 if len(labels) == 1 else np.logical_and(*labels)


def _with_sites(
    pair: LabelPair, volume: LabelledVolume, truth_encoding: Encoding, table: pd.DataFrame | None
) -> LabelPair:
    """A pair with the sites of both sides that lie where scores count."""
    neurons = None if volume.neurons is None else open_neurons(volume.neurons)
    if volume.annotations is None:
        true = labelled_sites(volume, pair.truth, truth_encoding, neurons)
    else:
        true = annotated_sites(volume, volume.annotations, neurons)
    if table is None:
        found = labelled_sites(volume, pair.prediction, pair.prediction_encoding, neurons)
    else:
        found = table_sites(table)
    return pair._replace(
        truth_sites=inside(true, volume, pair.mask),
        prediction_sites=inside(found, volume, pair.mask),
    )
