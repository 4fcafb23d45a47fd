"""Compiled: how often each pair of labels occurs, counted run by run.

Labels come in runs, so a scan that compares each voxel with its neighbour touches the hash
table once per run instead of once per voxel, and most of a synapse volume is background,
which is skipped in blocks. Holds the table and nothing else, however large the volume.
"""

from __future__ import annotations

import numpy as np

from connectomics.compiling import compiled

_BLOCK = 64
_FIRST_CAPACITY = 1024


@compiled
def count_pairs(
    truth: np.ndarray, prediction: np.ndarray, labelled: np.ndarray, step: int
) -> tuple[np.ndarray, np.ndarray]:
    """Count the voxels of every (truth label, predicted label, labelled) triple.

    Args:
        truth: 1-D, unsigned.
        prediction: 1-D, unsigned, as long as `truth`.
        labelled: 1-D uint8; voxel i is labelled where `labelled[i * step]` is not 0.
        step: 1, or 0 where one value of `labelled` stands for all voxels.

    Returns:
        Keys (k, 3) uint64 and their counts (k,) int64, in no particular order. The pair of
        two backgrounds is left out.
    """
    keys = np.zeros((_FIRST_CAPACITY, 3), dtype=np.uint64)
    counts = np.zeros(_FIRST_CAPACITY, dtype=np.int64)
    used = 0
    start = 0
    while start < truth.size:
        first, second = truth[start], prediction[start]
        if first == 0 and second == 0:
            start = _end_of_background(truth, prediction, start)
            continue
        inside = labelled[start * step]
        stop = start + 1
        while (
            stop < truth.size
            and truth[stop] == first
            and prediction[stop] == second
            and labelled[stop * step] == inside
        ):
            stop += 1
        used += _add(
            keys, counts, np.uint64(first), np.uint64(second), np.uint64(inside != 0), stop - start
        )
        if 2 * used > counts.size:
            keys, counts = _rehash(keys, counts)
        start = stop
    kept = counts > 0
    return keys[kept], counts[kept]


@compiled
def _end_of_background(truth: np.ndarray, prediction: np.ndarray, start: int) -> int:
    while start + _BLOCK <= truth.size:
        # Slices and no early exit: so written, the compiler vectorises the loop.
        first, second = truth[start : start + _BLOCK], prediction[start : start + _BLOCK]
        seen = np.uint64(0)
        for i in range(_BLOCK):
            seen |= first[i] | second[i]
        if seen != 0:
            break
        start += _BLOCK
    while start < truth.size and truth[start] == 0 and prediction[start] == 0:
        start += 1
    return start


@compiled
def _add(
    keys: np.ndarray,
    counts: np.ndarray,
    first: np.uint64,
    second: np.uint64,
    inside: np.uint64,
    voxels: int,
) -> int:
    """Add to the open-addressing table; return 1 where the key is new."""
    mask = np.uint64(counts.size - 1)
    mixed = first * np.uint64(0x9E3779B97F4A7C15) ^ second * np.uint64(0xC2B2AE3D27D4EB4F)
    slot = ((mixed ^ (mixed >> np.uint64(29))) + inside) & mask
    while counts[slot] > 0:
        if keys[slot, 0] == first and keys[slot, 1] == second and keys[slot, 2] == inside:
            counts[slot] += voxels
            return 0
        slot = (slot + np.uint64(1)) & mask
    keys[slot, 0], keys[slot, 1], keys[slot, 2] = first, second, inside
    counts[slot] = voxels
    return 1


@compiled
def _rehash(keys: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    larger_keys = np.zeros((2 * counts.size, 3), dtype=np.uint64)
    larger_counts = np.zeros(2 * counts.size, dtype=np.int64)
    for i in range(counts.size):
        if counts[i] > 0:
            _add(larger_keys, larger_counts, keys[i, 0], keys[i, 1], keys[i, 2], counts[i])
    return larger_keys, larger_counts
