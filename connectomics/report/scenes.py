"""From scored label volumes to the scenes of a report."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from connectomics.data.volumes import LabelledVolume, Volume
from connectomics.evaluation import (
    MATCHED_METRICS,
    METRICS,
    LabelPair,
    Labels,
    Matches,
    ThresholdSweep,
    VolumeScores,
    interpret,
)
from connectomics.evaluation.encoding import SIDED, Encoding
from connectomics.geometry import NOWHERE, VoxelGrid


@dataclass(frozen=True)
class Scene:
    """What the cards of one volume are made from.

    Attributes:
        name: Of the volume.
        prediction: (Z, Y, X) labels, as they were scored.
        prediction_sided: Whether the pre voxels of synapse n carry 2n-1 and its post voxels 2n.
        truth: (Z, Y, X) labels, or None.
        truth_sided: The same for the truth.
        matches: Who was matched with whom; None without truth.
        image: (Z, Y, X) EM, or None.
        grid: Where its voxels lie.
        confidence: Of each predicted synapse by its number.
        synthetic: Whether it is a phantom.
        origin: Voxel (z, y, x) of the file at which the volume begins, where it is a part of it.
    """

    name: str
    prediction: Labels
    prediction_sided: bool
    truth: Labels | None = None
    truth_sided: bool = False
    matches: Matches | None = None
    image: Volume | None = None
    grid: VoxelGrid = NOWHERE
    confidence: Mapping[int, float] = field(default_factory=dict)
    synthetic: bool = False
    origin: tuple[int, int, int] = (0, 0, 0)


class Found(NamedTuple):
    """Labels without a truth: see `LabelPair`."""

    prediction: Labels
    prediction_encoding: Encoding = "auto"
    confidence: Mapping[int, float] | None = None


def headline_threshold(sweep: ThresholdSweep) -> float:
    """The IoU threshold that a report speaks of: 0.5 if it was asked for.

    >>> import numpy as np
    >>> from connectomics.evaluation import detection_sweep
    >>> labels = np.array([[[1, 0, 2]]])
    >>> headline_threshold(detection_sweep(labels, labels, iou_thresholds=(0.3, 0.7)))
    0.3
    """
    asked = [score.iou_threshold for score in sweep.scores]
    return 0.5 if 0.5 in asked else asked[0]


def matched_metric(scores: Collection[str]) -> str:
    """The metric that the cards are made from: the first that matches synapses; else empty.

    >>> matched_metric(["jaccard", "iou_f1", "detection"])
    'detection'
    """
    return next((name for name in MATCHED_METRICS if name in scores), "")


def scored_scene(
    volume: LabelledVolume,
    pair: LabelPair,
    scores: VolumeScores,
    *,
    image: Volume | None,
    dilate_sz: Mapping[str, int | None] | None = None,
) -> Scene:
    """A volume with what became of each of its synapses.

    Args:
        volume: What was scored.
        pair: Its truth and prediction, as they were scored.
        scores: Of this pair. Without one that matches synapses, the scene is one of what was found.
        image: The EM to show, if there is any.
        dilate_sz: As it was scored, by metric.
    """
    name = matched_metric(scores.scores)
    sweep = scores.scores.get(name)
    if not isinstance(sweep, ThresholdSweep):
        return found_scene(volume, pair, image=image)
    polarity = METRICS[name].sided_truth
    encodings = (pair.truth_encoding, pair.prediction_encoding)
    # Each volume is taken to have sides where the other is known to have them, as in the scores.
    sided = [polarity or other in SIDED for other in reversed(encodings)]
    options = {"mask": pair.mask, "dilate_sz": (dilate_sz or {}).get(name)}
    true = interpret("truth", pair.truth, encodings[0], sided=sided[0], **options)
    found = interpret("prediction", pair.prediction, encodings[1], sided=sided[1], **options)
    return Scene(
        name=pair.name,
        prediction=found.labels,
        prediction_sided=found.encoding in SIDED,
        truth=true.labels,
        truth_sided=true.encoding in SIDED,
        matches=sweep.at(headline_threshold(sweep)).matches,
        image=image,
        origin=volume.origin,
        grid=volume.grid,
        confidence=pair.confidence or {},
        synthetic=volume.synthetic,
    )


def found_scene(volume: LabelledVolume, pair: Found | LabelPair, *, image: Volume | None) -> Scene:
    """A volume with what was found in it, of which nobody knows whether it is right."""
    encoding = pair.prediction_encoding
    found = interpret("prediction", pair.prediction, encoding, sided=encoding in SIDED)
    return Scene(
        name=volume.name,
        prediction=found.labels,
        prediction_sided=found.encoding in SIDED,
        image=image,
        origin=volume.origin,
        grid=volume.grid,
        confidence=pair.confidence or {},
        synthetic=volume.synthetic,
    )
