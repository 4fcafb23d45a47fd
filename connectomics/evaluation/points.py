"""Finding points: one-to-one matching within a radius."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from connectomics.errors import DataError
from connectomics.evaluation.counts import Counts
from connectomics.evaluation.matching import assign


@dataclass(frozen=True, eq=False)
class PointMatches:
    """Points found, invented and missed.

    Attributes:
        counts: TP, FP, FN.
        truth_index: (m,) rows of the true points that were found, ascending.
        prediction_index: (m,) the rows that found them.
        distance_nm: (m,) how far apart they are.
    """

    counts: Counts
    truth_index: np.ndarray
    prediction_index: np.ndarray
    distance_nm: np.ndarray


def match_points(
    truth_nm: np.ndarray, prediction_nm: np.ndarray, *, radius_nm: float
) -> PointMatches:
    """Match points one-to-one where they are at most `radius_nm` apart.

    As many pairs as possible, and among such matchings the one of least total distance.

    Args:
        truth_nm: (n, 3) positions in nm, in any axis order.
        prediction_nm: (m, 3) positions in the same order.
        radius_nm: The largest distance of a pair, > 0.

    Raises:
        DataError: Not (n, 3), not finite, or a radius that is not positive.

    >>> truth = np.array([[0.0, 0, 0], [0, 0, 100]])
    >>> found = match_points(truth, np.array([[0.0, 0, 60]]), radius_nm=50)
    >>> found.counts, found.truth_index.tolist(), found.distance_nm.tolist()
    (Counts(tp=1, fp=0, fn=1), [1], [40.0])
    """
    truth_nm, prediction_nm = as_points("truth", truth_nm), as_points("prediction", prediction_nm)
    truth_index, prediction_index, distance = near_pairs(truth_nm, prediction_nm, radius_nm)
    chosen = assign(truth_index, prediction_index, 1 - distance / (2 * radius_nm))
    found = chosen.size
    return PointMatches(
        Counts(tp=found, fp=len(prediction_nm) - found, fn=len(truth_nm) - found),
        truth_index[chosen],
        prediction_index[chosen],
        distance[chosen],
    )


def as_points(name: str, points: np.ndarray) -> np.ndarray:
    """Check positions and give them as (n, 3) float64; an empty array may have any shape.

    Raises:
        DataError: Not (n, 3), or not finite.
    """
    points = np.asarray(points, dtype=float)
    if not points.size:
        return points.reshape(0, 3)
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise DataError(
            f"evaluation: {name} points",
            f"their array has shape {points.shape}"
            + (" and is not finite." if not np.isfinite(points).all() else "."),
            "Give positions in nm as (n, 3).",
        )
    return points


def near_pairs(
    first: np.ndarray, second: np.ndarray, radius_nm: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of `first` and `second` at most `radius_nm` apart, and their distance.

    Raises:
        DataError: The radius is not positive.
    """
    from scipy.spatial import KDTree

    if not radius_nm > 0:
        raise DataError("evaluation: radius_nm", f"{radius_nm} is not positive.", "Give nm > 0.")
    pairs = KDTree(first).sparse_distance_matrix(KDTree(second), radius_nm, output_type="ndarray")
    return pairs["i"].astype(int), pairs["j"].astype(int), pairs["v"]
