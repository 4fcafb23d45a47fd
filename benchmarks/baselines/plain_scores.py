"""Counting and matching objects as one would with numpy and SciPy."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from connectomics.evaluation import ContingencyTable


def count_pairs(truth: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many voxels each pair of uint16 labels shares, of those where either is not 0.

    With a `np.bincount` of all pairs, or all voxels in `np.unique`, it takes longer.

    Returns:
        truth · 2^16 + prediction of each pair, and its voxels.
    """
    shown = (truth > 0) | (prediction > 0)
    codes = (truth[shown].astype(np.uint32) << 16) | prediction[shown]
    return np.unique(codes, return_counts=True)


def dense_matching(table: ContingencyTable, iou_threshold: float) -> np.ndarray:
    """The IoU of each match: as many as possible, and of those the largest in total.

    By one matrix of all objects by all objects, as `stardist.matching` does it.
    """
    iou = np.zeros((len(table.truth), len(table.prediction)))
    iou[table.truth_index, table.prediction_index] = table.iou()
    value = np.where(iou >= iou_threshold, iou + len(iou), 0)
    rows, columns = linear_sum_assignment(value, maximize=True)
    chosen = iou[rows, columns]
    return chosen[chosen >= iou_threshold]
