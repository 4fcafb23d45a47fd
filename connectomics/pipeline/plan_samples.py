"""How long one block takes of what a run does, for `--plan`."""

from __future__ import annotations

import hashlib
import math
import time
import warnings
from dataclasses import dataclass, replace
from itertools import chain
from typing import NamedTuple

import numpy as np

from connectomics.blocks import BlockGrid
from connectomics.config import Config
from connectomics.config.schema import ScoringSection
from connectomics.data.build import measure
from connectomics.data.processing import ImageStatistics, normalize
from connectomics.data.volumes import LabelledVolume, Volume
from connectomics.decoding import blockwise, steps
from connectomics.errors import ConfigError, DataError
from connectomics.evaluation import METRICS, LabelPair, default_metrics, evaluate_volumes
from connectomics.evaluation.extents import list_extents
from connectomics.evaluation.volumes import blocks_of
from connectomics.geometry import Box, Nm, Triple, VoxelGrid
from connectomics.pipeline.predictor import Predictor
from connectomics.scoring.labels import read_truth

SHIFT = 3
"""Voxels along x by which the truth of a block is shifted, to be scored as a prediction."""


@dataclass(frozen=True)
class Sample:
    """What one block took.

    Attributes:
        window: Seconds that the network took for a window.
        know: Seconds to read a voxel to know it.
        grey: Seconds to read it for its grey value.
        decoding: Seconds that decoding took for a voxel; NaN where that is not known.
        kept: The share of the voxels whose probabilities go to the disk.
    """

    window: float
    know: float
    grey: float
    decoding: float = math.nan
    kept: float = 1.0


class Evaluation(NamedTuple):
    """What scoring a block took; NaN where its labels do not tell.

    Attributes:
        passes: How often truth and prediction are gone through.
        begin: Seconds to read a voxel of one of them and sum it up.
        counting: Seconds for a voxel, by all passes.
    """

    passes: int
    begin: float
    counting: float


def predicted_sample(
    predictor: Predictor, volume: LabelledVolume, size: Triple, decodes: bool
) -> Sample:
    """Predict a block from the middle of a volume, and decode it."""
    from connectomics.inference.build import to_stored
    from connectomics.inference.by_block import predict_block, windows_of

    config = predictor.config
    box = middle(BlockGrid(volume.shape, size))
    begin = _seconds_to_begin(config, volume, box)
    transform = config.data.image_transform
    statistics = ImageStatistics(0.0, 255.0, 128.0, 64.0)  # the time does not depend on them
    windows = windows_of(box, volume.shape, predictor.sliding)
    predictor = predictor.ready_for(volume.shape)
    began = time.perf_counter()
    image = normalize(volume.image.read(windows.hull), statistics, transform.normalize)
    source = volume.image.source
    block = predict_block(predictor.network, image, windows, predictor.sliding, where=source)
    seconds = time.perf_counter() - began
    rate = box.size / seconds
    print(f"plan: a block of {box.shape} took {seconds:.1f} s here, {rate:,.0f} voxels/s")
    sample = Sample(seconds / windows.count, *begin)
    if not decodes or not config.decoding.steps:
        return sample
    stored = to_stored(block, config.inference.save_dtype)
    sample = replace(sample, decoding=seconds_to_decode(config, stored, volume.resolution))
    if config.inference.save_probabilities:
        return sample
    needed = blockwise.needed(config.decoding.steps, volume.shape, volume.resolution)
    return replace(sample, kept=needed.clear_by_itself(stored, box) / box.size)


def middle(grid: BlockGrid) -> Box:
    """The block in the middle of a volume."""
    return grid.at([n // 2 for n in grid.counts]).box


def _seconds_to_begin(config: Config, volume: LabelledVolume, box: Box) -> tuple[float, float]:
    """Read a voxel to know it, and for its grey value."""
    part, to_know = volume.crop(box), _seconds_to_know(volume.image, box)
    began = time.perf_counter()
    try:
        measure([part], config.data.image_transform)
    except DataError:  # such as one grey value in all of it
        return to_know, to_know
    return to_know, (time.perf_counter() - began) / box.size


def _seconds_to_know(volume: Volume, box: Box) -> float:
    """Read a voxel and sum it up."""
    volume.read(Box((0, 0, 0), (1, 1, 1)))  # opens the file, and loads what reads it
    began = time.perf_counter()
    hashlib.sha256(np.ascontiguousarray(volume.read(box)).data)
    return (time.perf_counter() - began) / box.size


def seconds_to_decode(
    config: Config, block: np.ndarray, resolution: tuple[float, float, float] | None
) -> float:
    """Decode a block by itself; NaN where its decoder cannot, or refuses it."""
    size, seconds = block.shape[-3:], math.nan
    for _ in range(2):  # the first time, what is not compiled yet is
        began = time.perf_counter()
        try:
            with warnings.catch_warnings(action="ignore"):
                decoder = config.decoding.steps
                blockwise.decode_blocks(block, decoder, block_size=size, grid=VoxelGrid(resolution))
        except (ConfigError, DataError):
            return math.nan
        seconds = time.perf_counter() - began
    return seconds / math.prod(size)


def times_read(config: Config, shape: Triple, size: Triple | None, resolution: Nm | None) -> int:
    """How often decoding reads probabilities that are there: once more to find its levels first."""
    if size is None or not config.decoding.steps:
        return 1
    try:
        needed = blockwise.needed(config.decoding.steps, shape, resolution)
    except (ConfigError, DataError):  # the run will say so
        return 1
    return 2 if needed.adapts else 1


def evaluated_sample(config: Config, volume: LabelledVolume) -> Evaluation:
    """Score a block of the truth of a volume against the same, a little shifted."""
    assert volume.label is not None
    section = config.evaluation
    decoded = steps.output_encoding(config.decoding.steps[0]) if config.decoding.steps else "auto"
    named = [metric.name for metric in section.metrics]
    named = named or [*default_metrics(decoded, section.truth_encoding)]
    passes = 1 + len(set(chain.from_iterable(METRICS[name].passes for name in named)))
    boxes = blocks_of(volume.label)
    box = boxes[len(boxes) // 2]
    begin = _seconds_to_know(volume.label, box)
    kept = [metric for metric in section.metrics if not METRICS[metric.name].of_sites]
    section = section.model_copy(update={"metrics": kept})
    began = time.perf_counter()
    try:
        truth, mask = read_truth(volume.crop(box))
        read = time.perf_counter() - began
        found = np.roll(truth, SHIFT, axis=-1)
        pair = LabelPair("sample", truth, found, decoded, volume.resolution, mask)
        seconds = _seconds_to_score(pair, section)
    except DataError:
        return Evaluation(passes, begin, math.nan)
    return Evaluation(passes, begin, (2 * passes * read + seconds) / box.size)


def _seconds_to_score(pair: LabelPair, section: ScoringSection) -> float:
    seconds = math.nan
    for _ in range(2):  # as decoding
        began = time.perf_counter()
        for labels in (pair.truth, pair.prediction):
            list_extents(labels)
        evaluate_volumes([pair], section)
        seconds = time.perf_counter() - began
    return seconds
