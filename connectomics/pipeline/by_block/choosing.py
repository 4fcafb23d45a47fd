"""How large the blocks of each result are, by what predicting and decoding take of memory.

A volume that fits into memory is one block, and is worked on at once. Larger ones, and all where
`system` says so, are cut into blocks; their results are Zarr stores in which a block is a file.

Here the network is not counted; what is announced of predicting is counted with it
(`inference/memory.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

from connectomics.blocks import BlockGrid, parts_begun
from connectomics.config import Config
from connectomics.config.schema import SystemSection
from connectomics.data.io import LazyVolume
from connectomics.data.volumes import LabelledVolume
from connectomics.geometry import Triple
from connectomics.pipeline.artifact import block_in
from connectomics.pipeline.by_block.workers import memory_of_job, workers_beside
from connectomics.pipeline.predicted import Predicted
from connectomics.pipeline.predictor import Predictor
from connectomics.pipeline.results import LABELS, PROBABILITIES, VolumeResults
from connectomics.process.memory import available_memory

SMALLEST, LARGEST = (16, 128, 128), (128, 1024, 1024)
"""Blocks that are chosen here are whole numbers of the chunks in which volumes are stored."""

SHARE_OF_MEMORY = 0.5
"""What results may take of the memory that is free."""

COPIES = 4
"""Float32 copies of what is predicted, and of what the network sees, that memory holds at once."""

BYTES_OF_VOXEL = 8
"""What decoding takes of memory beside the probabilities: masks, labels, and what is listed."""


def block_of(predictor: Predictor, volume: LabelledVolume, results: VolumeResults) -> Triple | None:
    """The size of the blocks in which a volume is predicted; None for all at once."""
    config, shape = predictor.config, volume.shape
    return choose_block(
        config.system,
        shape,
        in_progress=results.in_progress(PROBABILITIES),
        at_once=_predicted_at_once(config, shape),
        of_block=partial(_predicted_block, config, shape),
        gpus=predictor.gpus,
        chunks=_chunks(volume),
    )


def block_to_decode(
    volume: LazyVolume, results: VolumeResults, system: SystemSection
) -> Triple | None:
    """The size of the blocks in which probabilities are decoded; None for all at once."""
    depth, height, width = volume.shape[-3:]
    return choose_block(
        system,
        (depth, height, width),
        in_progress=results.in_progress(LABELS),
        at_once=_decoded(volume, volume.shape[-3:]),
        of_block=lambda block: 2 * _decoded(volume, block),
    )


def block_of_labels(predicted: Predicted, results: VolumeResults) -> Triple | None:
    """The size of the blocks in which a volume is predicted and decoded; None for all at once."""
    config, shape = predicted.config, predicted.volume.shape
    return choose_block(
        config.system,
        shape,
        in_progress=results.in_progress(LABELS),
        at_once=_predicted_at_once(config, shape) + _decoded(predicted, shape),
        of_block=lambda block: max(
            _predicted_block(config, shape, block), 2 * _decoded(predicted, block)
        ),
        gpus=predicted.predictor.gpus,
        chunks=_chunks(predicted.volume),
    )


def choose_block(
    system: SystemSection,
    shape: Triple,
    *,
    in_progress: Path,
    at_once: int,
    of_block: Callable[[Triple], int],
    gpus: int = 0,
    chunks: Triple = SMALLEST,
) -> Triple | None:
    """Decide whether a result is made block by block, and of what size.

    Args:
        system: The section.
        shape: (Z, Y, X) of the volume.
        in_progress: The folder in which it is made by block: one that is there is gone on with as
            it was begun, unless a size is given.
        at_once: Bytes of memory that making all of it at once takes.
        of_block: Bytes that a block takes.
        gpus: See `workers_of`.
        chunks: (z, y, x) voxels in which the volume is stored.

    Returns:
        (z, y, x) voxels, no more than the volume has, or None to make it at once.
    """
    elsewhere = system.shard is not None or system.executor.name != "this_process"
    size = system.block_size or block_in(parts_begun(in_progress) or {})
    if size is None:
        budget = SHARE_OF_MEMORY * _memory_of_worker(system, gpus)
        if at_once <= budget and not elsewhere:
            return None
        size = largest_block(shape, chunks, lambda block: of_block(block) <= budget)
    grid = BlockGrid(shape, size)
    return grid.block if len(grid) > 1 or elsewhere else None


def _memory_of_worker(system: SystemSection, gpus: int) -> float:
    """Bytes that whoever works on a block has; of other machines as if they were this one."""
    job = memory_of_job(system)
    return job or available_memory() / max(1, workers_beside(system, gpus))


def largest_block(shape: Triple, chunks: Triple, fits: Callable[[Triple], bool]) -> Triple:
    """The largest block that fits, growing along y and x before z.

    It is as wide as a chunk along every axis, where that fits: otherwise each chunk would be read
    for several blocks.

    >>> largest_block((100, 5000, 300), SMALLEST, lambda block: block[1] * block[2] <= 512 * 512)
    (128, 512, 512)
    >>> largest_block((100, 999, 999), (64, 64, 64), lambda block: math.prod(block) <= 2**20)
    (64, 128, 128)
    """
    powers = [2 ** math.ceil(math.log2(n)) for n in chunks]
    z, y, x = (max(s, min(p, m)) for s, p, m in zip(SMALLEST, powers, LARGEST, strict=True))
    block = [z, y, x] if fits((z, y, x)) else list(SMALLEST)
    grown = True
    while grown:
        grown = False
        for axis in (1, 2, 0):
            larger = [2 * n if i == axis else n for i, n in enumerate(block)]
            useful = block[axis] < shape[axis] and larger[axis] <= LARGEST[axis]
            if useful and fits((larger[0], larger[1], larger[2])):
                block, grown = larger, True
    return block[0], block[1], block[2]


def _chunks(volume: LabelledVolume) -> Triple:
    """Of the image on the disk, or at its address."""
    return getattr(volume.image, "chunks", None) or SMALLEST


def _predicted_at_once(config: Config, shape: Triple) -> int:
    """Bytes that predicting a whole volume takes, which goes in slabs along z."""
    window = config.inference.window.window_size
    assert window is not None
    depth = min(window[0], shape[0])
    return COPIES * 4 * (config.model.out_channels + 1) * depth * shape[1] * shape[2]


def _predicted_block(config: Config, shape: Triple, block: Triple) -> int:
    """Bytes that predicting a block takes."""
    window = config.inference.window.window_size
    assert window is not None
    hull = [min(b + 2 * w, n) for b, w, n in zip(block, window, shape, strict=True)]
    slab = window[0] * hull[1] * hull[2]
    channels = config.model.out_channels
    return 4 * (2 * math.prod(hull) + 2 * channels * slab + COPIES * channels * math.prod(block))


def _decoded(volume: LazyVolume | Predicted, shape: tuple[int, ...]) -> int:
    """Bytes that decoding a part of (Z, Y, X) takes, its probabilities among them."""
    of_voxel = math.prod(volume.shape[:-3]) * volume.dtype.itemsize + BYTES_OF_VOXEL
    return math.prod(shape) * of_voxel
