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
    keys, counts = _fill(truth, prediction, labelled, step)
    kept = counts > 0  # not in the compiled loop, where it takes long to compile for each dtype
    return keys[kept], counts[kept]


@compiled
def _fill(
    truth: np.ndarray, prediction: np.ndarray, labelled: np.ndarray, step: int
) -> tuple[np.ndarray, np.ndarray]:
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
    return keys, counts


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


def measure_runs(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Measure every value of a volume, 0 as well.

    Args:
        labels: (Z, Y, X), unsigned.

    Returns:
        Values (k,) uint64 and their voxels (k,) int64, in no particular order, and boxes
        (k, 6) int64: the first z, y, x and the last z, y, x of each.
    """
    values, voxels, boxes = _fill_measured(labels)
    kept = voxels > 0
    return values[kept], voxels[kept], boxes[kept]


@compiled
def _fill_measured(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    values = np.zeros(_FIRST_CAPACITY, dtype=np.uint64)
    voxels = np.zeros(_FIRST_CAPACITY, dtype=np.int64)
    boxes = np.zeros((_FIRST_CAPACITY, 6), dtype=np.int64)
    used = 0
    depth, height, width = labels.shape
    for z in range(depth):
        for y in range(height):
            row = labels[z, y]
            start = 0
            while start < width:
                value = row[start]
                stop = start + 1
                while stop < width and row[stop] == value:
                    stop += 1
                used += _measure(
                    values, voxels, boxes, np.uint64(value), (z, y, start), stop - start
                )
                if 2 * used > values.size:
                    values, voxels, boxes = _rehash_measured(values, voxels, boxes)
                start = stop
    return values, voxels, boxes


@compiled
def _measure(
    values: np.ndarray,
    voxels: np.ndarray,
    boxes: np.ndarray,
    value: np.uint64,
    place: tuple[int, int, int],
    length: int,
) -> int:
    """Add a run along x to the open-addressing table; return 1 where its value is new."""
    mask = np.uint64(values.size - 1)
    mixed = value * np.uint64(0x9E3779B97F4A7C15)
    slot = (mixed ^ (mixed >> np.uint64(29))) & mask
    while voxels[slot] > 0 and values[slot] != value:
        slot = (slot + np.uint64(1)) & mask
    is_new = voxels[slot] == 0
    box = boxes[slot]
    z, y, x = place
    first, last = (z, y, x), (z, y, x + length - 1)
    for axis in range(3):
        if is_new or first[axis] < box[axis]:
            box[axis] = first[axis]
        if is_new or last[axis] > box[3 + axis]:
            box[3 + axis] = last[axis]
    values[slot] = value
    voxels[slot] += length
    return 1 if is_new else 0


@compiled
def _rehash_measured(
    values: np.ndarray, voxels: np.ndarray, boxes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    larger = np.zeros(2 * values.size, dtype=np.uint64)
    larger_voxels = np.zeros(2 * values.size, dtype=np.int64)
    larger_boxes = np.zeros((2 * values.size, 6), dtype=np.int64)
    mask = np.uint64(larger.size - 1)
    for i in range(values.size):
        if voxels[i] > 0:
            mixed = values[i] * np.uint64(0x9E3779B97F4A7C15)
            slot = (mixed ^ (mixed >> np.uint64(29))) & mask
            while larger_voxels[slot] > 0:
                slot = (slot + np.uint64(1)) & mask
            larger[slot], larger_voxels[slot] = values[i], voxels[i]
            larger_boxes[slot] = boxes[i]
    return larger, larger_voxels, larger_boxes
