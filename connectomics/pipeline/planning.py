"""`--plan`: what a test would take, said before anything starts. Nothing is written."""

from __future__ import annotations

import math
import shutil
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from connectomics.blocks import BlockGrid
from connectomics.config import Config, Resolved
from connectomics.data.build import open_split
from connectomics.data.checks import check_data
from connectomics.data.processing import ImageStatistics, normalize
from connectomics.data.volumes import LabelledVolume
from connectomics.decoding import blockwise
from connectomics.errors import ConfigError, DataError
from connectomics.geometry import Box, Triple, VoxelGrid
from connectomics.pipeline.by_block.choosing import (
    SMALLEST,
    block_of,
    block_of_labels,
    block_to_decode,
)
from connectomics.pipeline.by_block.workers import shard_of, workers_of
from connectomics.pipeline.comparing import open_probabilities
from connectomics.pipeline.labels import predicted_for
from connectomics.pipeline.predictor import Predictor, load_predictor, require_memory
from connectomics.pipeline.result_folders import asked_of, existing_results, results_of_volumes
from connectomics.pipeline.results import require_checkpoint, run_of
from connectomics.process.memory import peak_memory
from connectomics.process.progress import in_words

MODES = ("infer", "decode", "test")


def plan(resolved: Resolved, checkpoint: Path | None) -> None:
    """Print blocks, bytes, memory, disk and time of what `infer`, `decode` or `test` would do.

    One block, from the middle of the largest volume, is done to know how long that takes.

    Raises:
        ConfigError: The mode is another.
        DataError: Everything that is wrong with the files.
    """
    config = resolved.config
    if resolved.mode not in MODES:
        problem = f"is for the modes {', '.join(MODES)}, not for {resolved.mode}."
        raise ConfigError("--plan", problem, "Leave it out, or name one of these modes.")
    if resolved.mode == "decode" and config.inference.save_probabilities:
        run, disk = run_of(checkpoint, config.save_path), _plan_decoding(resolved, checkpoint)
    else:
        checkpoint = require_checkpoint(checkpoint, config.save_path, resolved.mode)
        run, disk = run_of(checkpoint, config.save_path), _plan_predicting(resolved, checkpoint)
    print(f"plan: peak memory of a worker {_gib(peak_memory())}, measured in this process")
    print(f"plan: disk {_gib(disk)} at most, before compression; {_gib(_free(run.path))} are free")


def _plan_predicting(resolved: Resolved, checkpoint: Path) -> float:
    """Print what predicting takes, and decoding where it comes next; gives the disk for it."""
    config, decodes = resolved.config, resolved.mode != "infer"
    if faults := check_data(config.data, "infer"):
        raise DataError.of(faults)
    predictor = load_predictor(config, checkpoint)
    run = run_of(checkpoint, config.save_path)
    volumes = open_split(config.data.test, "data.test")
    largest = max(volumes, key=lambda volume: math.prod(volume.shape))
    sample: Sample | None = None
    disk = 0.0
    for volume, results in results_of_volumes(run.results, volumes):
        if config.inference.save_probabilities:
            size = block_of(predictor, volume, results)
        else:
            size = block_of_labels(predicted_for(predictor, volume, results), results)
        sample = sample or _predicted_sample(predictor, largest, size or SMALLEST, decodes)
        for line in _lines(predictor, volume, size, sample):
            print(line)
        written = sample.kept * _bytes_of(config, volume.shape)
        disk += written * (size is not None or config.inference.save_probabilities)
        disk += LABEL_BYTES * math.prod(volume.shape) * decodes
        if decodes:
            print(_line_of_decoding(config, volume.shape, written, sample.decoding))
    return disk


def _plan_decoding(resolved: Resolved, checkpoint: Path | None) -> float:
    """Print what decoding probabilities that are there takes; gives the disk for it."""
    config, split = resolved.config, resolved.config.data.test
    run = run_of(checkpoint, config.save_path)
    disk, seconds = 0.0, math.nan
    for asked, results in existing_results(run.results, asked_of(split)):
        with open_probabilities(asked, results) as volume:
            depth, height, width = volume.shape[-3:]
            shape = depth, height, width
            size = block_to_decode(volume, results, config.system)
            if math.isnan(seconds):
                grid = BlockGrid(shape, size or SMALLEST)
                box = grid.at([n // 2 for n in grid.counts]).box
                seconds = _seconds_to_decode(config, volume.read(box), volume.resolution)
            how = _how(BlockGrid(shape, size or shape), size)
            print(f"plan: {asked.name} {shape}: {how}")
            read = math.prod(volume.shape) * volume.dtype.itemsize
        print(_line_of_decoding(config, shape, read, seconds))
        disk += LABEL_BYTES * math.prod(shape)
    return disk


LABEL_BYTES = 4
"""Of a voxel of the labels, before compression."""


@dataclass(frozen=True)
class Sample:
    """What one block took.

    Attributes:
        window: Seconds that the network took for a window.
        decoding: Seconds that decoding took for a voxel; NaN where that is not known.
        kept: The share of the voxels whose probabilities go to the disk.
    """

    window: float
    decoding: float = math.nan
    kept: float = 1.0


def _line_of_decoding(config: Config, shape: Triple, read: float, seconds: float) -> str:
    (workers, who), voxels = _who(config), math.prod(shape)
    written = f"decode reads {_gib(read)}, writes up to {_gib(LABEL_BYTES * voxels)}"
    if math.isnan(seconds):
        return f"plan:   {written}; how long it takes, that block does not tell"
    duration = in_words(seconds * voxels / workers)
    return (
        f"plan:   {written}, takes {duration} with {who}; more where there are more "
        "synapses than in that block"
    )


def _lines(
    predictor: Predictor, volume: LabelledVolume, size: Triple | None, sample: Sample
) -> Iterator[str]:
    config, shape = predictor.config, volume.shape
    grid = BlockGrid(shape, size or shape)
    windows, read = _work(predictor, grid)
    alone, _ = _work(predictor, BlockGrid(shape, shape))
    workers, who = _who(config, predictor.gpus)
    again = f", {windows / alone:.2f} times those of the whole" if size else ""
    counted = _counted(windows, "window")
    yield f"plan: {volume.name} {shape}: {_how(grid, size)}, {counted}{again}"
    written = f"writes {_gib(_bytes_of(config, shape))} of {config.inference.save_dtype}"
    if not config.inference.save_probabilities:
        written = "keeps no probabilities"
        if size is not None:
            written += f", but {sample.kept:.0%} of their voxels until all is decoded"
    yield (
        f"plan:   infer reads {_gib(read * volume.image.dtype.itemsize)}, {written}, takes "
        f"{in_words(windows * sample.window / workers)} with {who} as fast as this one"
    )
    yield from (f"plan:   {line}" for line in require_memory(predictor, shape, size))


def _who(config: Config, gpus: int = 0) -> tuple[int, str]:
    """How many work on blocks, those of all shards together, and how to say that."""
    workers, shard = workers_of(config.system, gpus), shard_of(config.system)
    who = _counted(workers, "worker")
    if shard is None:
        return workers, who
    return workers * shard.count, f"{_counted(shard.count, 'shard')} of {who} each"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' if number > 1 else ''}"


def _how(grid: BlockGrid, size: Triple | None) -> str:
    if size is None:
        return "at once"
    return f"{_counted(len(grid), 'block')} of {' x '.join(map(str, grid.block))}"


def _work(predictor: Predictor, grid: BlockGrid) -> tuple[int, int]:
    """How many windows the network sees for all blocks, and how many voxels are read for them.

    Both are products of what is so along each axis.
    """
    from connectomics.inference.by_block import windows_of

    windows, voxels = 1, 1
    for axis, count in enumerate(grid.counts):
        places = [[i if a == axis else 0 for a in range(3)] for i in range(count)]
        found = [windows_of(grid.at(p).box, grid.shape, predictor.sliding) for p in places]
        windows *= sum(len(one.axes[axis].starts) for one in found)
        voxels *= sum(one.hull.shape[axis] for one in found)
    return windows, voxels


def _predicted_sample(
    predictor: Predictor, volume: LabelledVolume, size: Triple, decodes: bool
) -> Sample:
    """Predict a block from the middle of a volume, and decode it."""
    from connectomics.inference.build import to_stored
    from connectomics.inference.by_block import predict_block, windows_of

    config = predictor.config
    grid = BlockGrid(volume.shape, size)
    box: Box = grid.at([n // 2 for n in grid.counts]).box
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
    sample = Sample(seconds / windows.count)
    if not decodes or not config.decoding.steps:
        return sample
    stored = to_stored(block, config.inference.save_dtype)
    sample = replace(sample, decoding=_seconds_to_decode(config, stored, volume.resolution))
    if config.inference.save_probabilities:
        return sample
    needed = blockwise.needed(config.decoding.steps, volume.shape, volume.resolution)
    return replace(sample, kept=needed.clear_by_itself(stored, box) / box.size)


def _seconds_to_decode(
    config: Config, block: np.ndarray, resolution: tuple[float, float, float] | None
) -> float:
    """Decode a block by itself; NaN where its decoder cannot, or refuses it."""
    size, seconds = block.shape[-3:], math.nan
    for _ in range(2):  # the first time, what is not compiled yet is
        began = time.perf_counter()
        try:
            with warnings.catch_warnings(action="ignore"):
                steps = config.decoding.steps
                blockwise.decode_blocks(block, steps, block_size=size, grid=VoxelGrid(resolution))
        except (ConfigError, DataError):
            return math.nan
        seconds = time.perf_counter() - began
    return seconds / math.prod(size)


def _bytes_of(config: Config, shape: Triple) -> int:
    """Of the probabilities of a volume."""
    of_voxel = config.model.out_channels * np.dtype(config.inference.save_dtype).itemsize
    return of_voxel * math.prod(shape)


def _free(folder: Path) -> int:
    there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    return shutil.disk_usage(there).free


def _gib(count: float) -> str:
    return f"{count / 2**30:,.2f} GiB"
