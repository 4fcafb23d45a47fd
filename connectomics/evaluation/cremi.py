"""The scores of the CREMI challenge (https://cremi.org/metrics): clefts and partners."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from connectomics.errors import DataError
from connectomics.evaluation.counts import Counts, ratio
from connectomics.evaluation.distances import BlockDistances, measure_apart
from connectomics.evaluation.matching import assign
from connectomics.evaluation.metric import Metric, Nanometres
from connectomics.evaluation.points import as_points, near_pairs
from connectomics.evaluation.volumes import Labels, blocks_of, check_labels, check_shapes, read
from connectomics.geometry import Box


@dataclass(frozen=True)
class CremiClefts:
    """How far predicted and true clefts are from one another; `+` pools volumes.

    Attributes:
        predicted_voxels: Cleft voxels of the prediction.
        true_voxels: Cleft voxels of the truth.
        distance_to_truth: Sum over predicted voxels, nm; inf where there is no truth.
        distance_to_prediction: Sum over true voxels, nm; inf where there is no prediction.
        fp: Predicted voxels far from the truth.
        fn: True voxels far from the prediction.
    """

    predicted_voxels: int
    true_voxels: int
    distance_to_truth: float
    distance_to_prediction: float
    fp: int
    fn: int

    @property
    def adgt(self) -> float:
        """Mean distance of predicted voxels to the truth, nm."""
        return self._mean(self.distance_to_truth, self.predicted_voxels)

    @property
    def adf(self) -> float:
        """Mean distance of true voxels to the prediction, nm."""
        return self._mean(self.distance_to_prediction, self.true_voxels)

    @property
    def score(self) -> float:
        """The CREMI score, (ADGT + ADF) / 2, nm; lower is better."""
        return (self.adgt + self.adf) / 2

    def _mean(self, distance: float, voxels: int) -> float:
        """NaN where both volumes are empty; inf where one is: nothing is near it."""
        alone = not voxels and (self.predicted_voxels or self.true_voxels)
        return math.inf if alone else ratio(distance, voxels)

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing to add."""
        return ()

    def __add__(self, other: CremiClefts) -> CremiClefts:
        return CremiClefts(
            self.predicted_voxels + other.predicted_voxels,
            self.true_voxels + other.true_voxels,
            self.distance_to_truth + other.distance_to_truth,
            self.distance_to_prediction + other.distance_to_prediction,
            self.fp + other.fp,
            self.fn + other.fn,
        )

    def as_dict(self) -> dict[str, Any]:
        """Scores and the voxel counts behind them."""
        counts = {"predicted": self.predicted_voxels, "true": self.true_voxels}
        return {**self.rows()[0], "voxels": counts}

    def rows(self) -> list[dict[str, Any]]:
        """One line of a table."""
        names = "score", "adgt", "adf", "fp", "fn"
        return [{name: getattr(self, name) for name in names}]


def cremi_clefts(
    truth: Labels,
    prediction: Labels,
    *,
    resolution: tuple[float, float, float],
    max_distance_nm: Nanometres = 200.0,
    mask: Labels | None = None,
) -> CremiClefts:
    """Measure how far predicted clefts lie from true ones and the other way round.

    Distances are exact and anisotropic, between voxel centres, to the nearest cleft voxel
    of the other volume whichever its id, to a millionth of a nm.

    Args:
        truth: (Z, Y, X) labels, cleft where not 0. CREMI's own background, 2**64 - 1, has to
            be set to 0 and its id 0 to another, as `data.processing.clean_label` does; its
            invalid voxels, 2**64 - 2, have to be left out by the mask.
        prediction: (Z, Y, X) labels, cleft where not 0.
        resolution: nm per voxel (z, y, x).
        max_distance_nm: Farther than this is a false positive or negative.
        mask: (Z, Y, X), 0 where voxels are unlabelled and do not exist.

    Returns:
        The score; `inf` where one of the volumes is empty, NaN where both are.

    Raises:
        DataError: Float or negative labels, shapes that differ, or CREMI's marks.

    >>> truth, prediction = np.array([[[1, 0, 0, 0]]]), np.array([[[0, 0, 1, 1]]])
    >>> clefts = cremi_clefts(truth, prediction, resolution=(40, 4, 4), max_distance_nm=10)
    >>> clefts.adgt, clefts.adf, clefts.score, clefts.fp, clefts.fn
    (10.0, 8.0, 9.0, 1, 0)
    """
    check_shapes(truth, prediction, mask)
    masks = partial(_cleft_masks, truth, prediction, mask)
    if all(isinstance(one, np.ndarray) for one in (truth, prediction, mask) if one is not None):
        true, predicted = measure_apart(*masks(None), resolution, max_distance_nm)
    else:
        boxes = blocks_of(truth, prediction, mask)
        true, predicted = BlockDistances(boxes, masks, resolution, max_distance_nm).measure()
    return CremiClefts(
        predicted_voxels=predicted.voxels,
        true_voxels=true.voxels,
        distance_to_truth=predicted.distance_nm,
        distance_to_prediction=true.distance_nm,
        fp=predicted.far,
        fn=true.far,
    )


def _cleft_masks(
    truth: Labels, prediction: Labels, mask: Labels | None, box: Box | None
) -> tuple[np.ndarray, np.ndarray]:
    counts = None if mask is None else _part(mask, box)
    first = _cleft_mask("truth", _part(truth, box), counts)
    return first, _cleft_mask("prediction", _part(prediction, box), counts)


def _part(labels: Labels, box: Box | None) -> np.ndarray:
    return labels if box is None else read(labels, box)  # pyright: ignore


def _cleft_mask(name: str, labels: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    check_labels(name, labels, mask)
    return labels != 0 if mask is None else (labels != 0) & (mask != 0)


@dataclass(frozen=True, eq=False)
class Partners:
    """Directed connections between neurons.

    Attributes:
        pre_nm: (n, 3) positions of the pre sites in nm.
        post_nm: (n, 3) positions of the post sites in nm, in the same axis order.
        neurons: (n, 2) integers, the pre and the post neuron's id.
    """

    pre_nm: np.ndarray
    post_nm: np.ndarray
    neurons: np.ndarray


@dataclass(frozen=True, eq=False)
class PartnerMatches:
    """Connections found, invented and missed.

    Attributes:
        counts: TP, FP, FN.
        truth_index: (m,) rows of the true connections that were found, ascending.
        prediction_index: (m,) the rows that found them.
        distance_nm: (m,) mean distance of their two ends.
    """

    counts: Counts
    truth_index: np.ndarray
    prediction_index: np.ndarray
    distance_nm: np.ndarray


def cremi_partners(
    truth: Partners,
    prediction: Partners,
    *,
    max_distance_nm: float = 400.0,
    mode: Literal["cremi", "max_matches"] = "cremi",
) -> PartnerMatches:
    """Match connections of the same ordered pair of neurons with both ends nearby.

    A pair costs the mean distance of its ends; leaving a connection out costs twice the
    largest distance.

    Args:
        truth: The true connections.
        prediction: The predicted ones, with neuron ids of the same segmentation.
        max_distance_nm: The largest distance of the pre sites, and of the post sites.
        mode: `cremi` takes the least total cost, as the challenge does, which may give up
            a match to make others cheaper; `max_matches` takes as many matches as there
            can be and among those the least total distance.

    Raises:
        DataError: Arrays that do not fit together, or a distance that is not positive.
    """
    truth, prediction = _checked("truth", truth), _checked("prediction", prediction)
    first, second, pre = near_pairs(truth.pre_nm, prediction.pre_nm, max_distance_nm)
    post = np.linalg.norm(truth.post_nm[first] - prediction.post_nm[second], axis=1)
    same = (truth.neurons[first] == prediction.neurons[second]).all(1)
    kept = same & (post <= max_distance_nm)
    first, second, distance = first[kept], second[kept], (pre[kept] + post[kept]) / 2
    # What a match saves, as a share of the cost of leaving its two ends unmatched.
    saving = 1 - distance / (2 * max_distance_nm)
    chosen = assign(first, second, saving, most_pairs=mode == "max_matches")
    found = chosen.size
    return PartnerMatches(
        Counts(tp=found, fp=len(prediction.neurons) - found, fn=len(truth.neurons) - found),
        first[chosen],
        second[chosen],
        distance[chosen],
    )


def _checked(name: str, partners: Partners) -> Partners:
    pre, post = (
        as_points(f"{name} pre", partners.pre_nm),
        as_points(f"{name} post", partners.post_nm),
    )
    neurons = np.asarray(partners.neurons).reshape(-1, 2)
    if not len(pre) == len(post) == len(neurons):
        raise DataError(
            f"evaluation: {name} partners",
            f"{len(pre)} pre sites, {len(post)} post sites and {len(neurons)} pairs of neurons.",
            "Give one of each per connection.",
        )
    return Partners(pre, post, neurons)


CREMI_CLEFTS = Metric(
    cremi_clefts,
    """distances in nm, lower is better; adgt: of predicted voxels to truth; adf: of
true voxels to prediction; score: mean of both; fp, fn: voxels beyond max_distance_nm (200)""",
    passes=("clefts located", "distances"),
)
